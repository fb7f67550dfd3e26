import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { inspect } from 'node:util'
import supertest from 'supertest'
import { createAdminApp } from '../../src/admin/app.ts'
import { type Door, socketDoor } from '../../src/admin/door.ts'
import type { AdminParts, AnswerLine, ListedRegistry } from '../../src/admin/parts.ts'
import { createStreams } from '../../src/admin/stream.ts'
import { createTokenStore } from '../../src/admin/token-store.ts'
import { canonicalName } from '../../src/registry/host.ts'
import type { RotationParts } from '../../src/rotation/parts.ts'
import { createBench, KEY } from '../rotation/kit.ts'

export const PATH = `/v1/registries/${encodeURIComponent(KEY)}`
export const OTHER = 'ghcr.example'

const listed: ListedRegistry[] = [
  { host: KEY, upstream: 'https://registry.corp.example', mode: 'required' },
  { host: OTHER, upstream: 'https://ghcr.example', mode: 'optional' },
]

const folder = mkdtempSync(join(tmpdir(), 'regcredd-tokens-'))
after(() => rmSync(folder, { recursive: true }))
let stores = 0

export type Desk = ReturnType<typeof createDesk>

/** The admin app on real rotations, with everything that it said kept for a search. */
export function createDesk(
  changes: { rotation?: Partial<RotationParts>; admin?: Partial<AdminParts>; door?: (parts: AdminParts) => Door } = {},
) {
  const bench = createBench({ isListed: (key) => listed.some((one) => one.host === key), ...changes.rotation })
  const lines: AnswerLine[] = []
  const said: string[] = []
  stores += 1
  const tokensFile = join(folder, `${stores}.json`)
  const parts: AdminParts = {
    registries: () => listed,
    canonicalKey: (host) => canonicalName(host).name,
    credential: (key) => bench.keychain.get(key),
    credentialKeys: () => bench.keychain.keys(),
    rotations: bench.rotations,
    tokens: createTokenStore(
      { path: tokensFile, now: bench.time.now, onFault: (fault) => bench.faults.push(fault) },
      [],
    ),
    onAct: (act) => void bench.acts.push(act),
    streams: createStreams(),
    version: '0.1.0',
    status: async () => ({ version: '0.1.0', keychain: 'ready' }),
    mirror: () => ({ configured: false, results: [], stale: false, fault: undefined, fleet: undefined }),
    nodes: async () => undefined,
    kubernetesCheck: async () => ({ rights: [], complete: true }),
    audit: async () => [],
    onAnswer: (line) => void lines.push(line),
    ...changes.admin,
  }
  const app = createAdminApp(parts, changes.door?.(parts) ?? socketDoor)
  const ask = supertest(app)
  return {
    bench,
    lines,
    parts,
    tokensFile,
    app,
    ask,
    /** Keeps an answer for `assertSilent`. */
    heard<T extends { headers: unknown; text: string }>(answer: T): T {
      said.push(inspect(answer.headers), answer.text ?? '')
      return answer
    },
    /** Fails if a planted secret stands in any answer, log line, audited act or reported fault. */
    assertSilent(...secrets: string[]): void {
      const all = [
        ...said,
        inspect([lines, bench.acts, bench.faults], { depth: 12 }),
        JSON.stringify(bench.acts),
      ].join()
      for (const secret of secrets) {
        for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]) {
          assert.ok(!all.includes(form), `"${form}" was said`)
        }
      }
    },
  }
}

export async function logIn(desk: Desk): Promise<void> {
  await desk.ask.put(`${PATH}/credential`).send({ username: 'ci', password: 'old' }).expect(200)
}
