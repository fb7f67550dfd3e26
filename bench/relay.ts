import { join } from 'node:path'
import { type ServerProcess, startServer } from '../test/helpers/server-process.ts'

/** Puts a round trip before ports of this machine: for each port that is given, another that leads to it. */
export async function startDelayRelay(
  roundTripMs: number,
  ports: readonly number[],
): Promise<{ ports: number[]; stop: () => Promise<void> }> {
  const server: ServerProcess = await startServer({
    tool: { command: process.execPath, env: { PATH: process.env['PATH'] }, version: process.version },
    args: [join(import.meta.dirname, 'delay-relay.ts'), String(roundTripMs), ...ports.map(String)],
    ready: /^relays ([\d ]+)$/m,
  })
  return { ports: (server.ready[1] ?? '').split(' ').map(Number), stop: server.stop }
}
