import type { ChannelOptions } from '@grpc/grpc-js';

/** Limits of every gRPC server and client; grpc-js leaves most of them open by default. */
export const limits = {
  /** Largest message, in bytes, either way (fault 17). */
  messageBytes: 4 * 1024 * 1024,
  /** Deadline of a call that brings none, in milliseconds; `(biz.method).deadline_ms` overrides it. */
  deadlineMs: 10_000,
  /** Calls at work in one server; one more is told to come back. */
  callsInFlight: 1_000,
  /** A client's connection takes new calls for so long, in milliseconds; then a new one does, which finds new instances (see renewed.ts). */
  connectionAgeMs: 5 * 60_000,
  /** Streams of one connection. */
  streams: 1_000,
};

export const serverOptions: ChannelOptions = {
  'grpc.max_receive_message_length': limits.messageBytes,
  'grpc.max_send_message_length': limits.messageBytes,
  'grpc.max_concurrent_streams': limits.streams,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

export const clientOptions: ChannelOptions = {
  'grpc.max_receive_message_length': limits.messageBytes,
  'grpc.max_send_message_length': limits.messageBytes,
  // without keepalive a client does not notice for long that a server is gone
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  // below the patience of retry.ts: an instance that is back is found before calls give up
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.dns_min_time_between_resolutions_ms': 5_000,
  // otherwise a client that takes the place of another would take its connections, too
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
};
