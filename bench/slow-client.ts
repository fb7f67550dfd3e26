// Many readers of one URL that take little at a time, in a process of its own. Reads `{origin, path, headers, readers, seconds}` from standard
// input, prints `begun` and, after so many seconds, one JSON line: how many got a first byte of the body, and when the last of them did.
import http, { type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

const SIP_EVERY_MS = 500
const FIRST_BYTES_WITHIN_MS = 30_000

type Ask = { origin: string; path: string; headers: Record<string, string>; readers: number; seconds: number }

const { origin, path, headers, readers, seconds } = (await json(process.stdin)) as Ask
const agent = new http.Agent({ maxSockets: readers })
const startedAtMs = performance.now()
const firstBytesMs: number[] = []
process.stdout.write('begun\n')

await Promise.race([
  Promise.all(Array.from({ length: readers }, () => readSlowly())),
  sleep(FIRST_BYTES_WITHIN_MS, undefined, { ref: false }),
])
const lastMs = firstBytesMs.length < readers ? FIRST_BYTES_WITHIN_MS : Math.max(0, ...firstBytesMs)
await sleep(seconds * 1_000)
process.stdout.write(`${JSON.stringify({ served: firstBytesMs.length, lastMs })}\n`)
process.exit()

/** Resolves at the first byte and goes on sipping. */
async function readSlowly(): Promise<void> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    http.get(`${origin}${path}`, { agent, headers }, resolve).on('error', reject)
  })
  if (answer.statusCode !== 200) throw new Error(`a reader got ${answer.statusCode}`)
  return new Promise((resolve, reject) => {
    answer.once('data', () => {
      firstBytesMs.push(performance.now() - startedAtMs)
      resolve()
    })
    answer.on('error', reject)
    answer.on('data', () => {
      answer.pause()
      setTimeout(() => answer.resume(), SIP_EVERY_MS)
    })
  })
}
