/** A record as presentRecords makes it: the contract's message `Record`. Texts of JSON are `{"sealed":true}` where the caller may not open them. */
export interface RecordMessage {
  readonly record_id: string;
  readonly event_id: string;
  readonly log_id: string;
  readonly leaf_index: number;
  readonly leaf_hash: string;
  readonly entity_type: string;
  readonly entity_id: string;
  readonly version: number;
  readonly action_type: 'new' | 'update' | 'delete' | 'disable' | 'enable';
  readonly action_at: string;
  readonly received_at: string;
  readonly is_active: boolean;
  readonly event_type: string;
  readonly producer_service: string;
  readonly producer_service_id: string;
  readonly trace_id: string;
  readonly owner_id: string;
  readonly owner_role: string;
  readonly owner_type: 'user' | 'service';
  /** Missing where it is not opened. */
  readonly owner_ip?: string;
  readonly ownership_id: string;
  readonly company_id?: string;
  readonly client_id?: string;
  readonly clock_skew: boolean;
  /** JSON text; so are `metadata` and `extra`. */
  readonly payload: string;
  readonly metadata: string;
  readonly extra: string;
  readonly entity_version?: number;
  readonly trace_id_as_sent: string;
  readonly timestamp_as_sent: string;
  readonly sealed_fields: readonly string[];
  readonly erased_fields: readonly string[];
}
