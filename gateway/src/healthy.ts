import { request } from 'node:https';

// The health check of the image: exit code 0 while the gateway is ready. It asks itself on loopback, so that whose certificate it shows to the
// world does not matter here.
const { GATEWAY_HOST: host = '127.0.0.1', GATEWAY_PORT: port = '8443' } = process.env;
const patienceMs = 3_000;

const asked = request({
  host: host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host,
  port,
  path: '/health/ready',
  rejectUnauthorized: false,
  timeout: patienceMs,
});
asked.on('timeout', () => asked.destroy(new Error(`no answer within ${patienceMs} ms`)));
asked.on('error', (error) => tell(error.message, false));
asked.on('response', (answer) => {
  const parts: Buffer[] = [];
  answer.on('data', (part: Buffer) => parts.push(part));
  answer.on('end', () => tell(Buffer.concat(parts).toString(), answer.statusCode === 200));
});
asked.end();

function tell(said: string, ready: boolean): void {
  console.log(said);
  process.exitCode = ready ? 0 : 1;
}
