import assert from 'node:assert/strict'
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { AuditRecord } from '../../src/audit/record.ts'
import { eventually } from '../helpers/eventually.ts'
import { ask } from '../helpers/proxy.ts'
import { inMountNamespace, mountSmallDisk, skipWithoutSmallDisk } from '../helpers/small-disk.ts'
import { login, startPair } from './pair.ts'

const MOUNT = `${mountSmallDisk.join(' ')} "$HOME/log" && exec "$@"`
const skip = skipWithoutSmallDisk()

async function startOnSmallDisk(t: TestContext, whenFull: 'closed' | 'open') {
  const pair = await startPair(t, {
    // Its own folder by another name, as that is not known before it starts.
    config: { audit: { folder: '/proc/self/cwd/log', whenFull } },
    wrap: [...inMountNamespace, 'sh', '-c', MOUNT, 'sh'],
  })
  // Seen through the daemon's eyes: out here the folder is another one.
  const folder = join(`/proc/${pair.daemon.pid}/root`, pair.daemon.folder, 'log')
  const ballast = join(folder, 'ballast')
  return {
    ...pair,
    async fill() {
      await writeFile(ballast, '')
      for (const sizeBytes of [4096, 1]) {
        const piece = Buffer.alloc(sizeBytes)
        for (let turn = 0; turn < 4096; turn += 1) {
          if ((await appendFile(ballast, piece).catch(() => 'full')) === 'full') break
        }
      }
    },
    makeRoom: () => rm(ballast),
    records: async (): Promise<AuditRecord[]> => {
      const text = await readFile(join(folder, 'audit.jsonl'), 'utf8')
      assert.ok(text.endsWith('\n'))
      return text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
    },
  }
}

test('on a full audit disk pulls and acts are refused, it is said everywhere, nothing is sent, and room heals it', {
  skip,
}, async (t) => {
  const { daemon, registry, port, manifest, token, fill, makeRoom, records } = await startOnSmallDisk(t, 'closed')
  await fill()
  // What is left of the last page still takes some records.
  await eventually('pulls are refused', async () => (await ask(port(), manifest, token())).status === 503, 20_000)
  registry.requests.length = 0
  const refused = await ask(port(), manifest, token())
  assert.match(refused.body.toString(), /AUDIT_UNAVAILABLE/)
  const act = await login(daemon)
  assert.deepEqual([act.code, /AUDIT_UNAVAILABLE/.test(act.stderr)], [1, true], act.stderr)
  assert.equal(registry.requests.length, 0, 'neither pull nor login reached the registry')
  const ready = await fetch(`${daemon.health}/readyz`)
  assert.equal(ready.status, 503)
  assert.match(await ready.text(), /the audit cannot be written since .*ENOSPC.*pulls are refused/)
  const status = JSON.parse((await daemon.cli(['status', '--json'])).stdout)
  assert.partialDeepStrictEqual(status, {
    ready: false,
    audit: { writable: false, code: 'ENOSPC', whenFull: 'closed' },
  })
  await eventually('the log tells', () => /"code":"ENOSPC".*the audit cannot be written/.test(daemon.log()))

  await makeRoom()
  assert.equal((await ask(port(), manifest, token())).status, 200)
  assert.equal((await fetch(`${daemon.health}/readyz`)).status, 200)
  await eventually('the log tells', () => daemon.log().includes('the audit can be written again'))
  const gap = (await records()).find(({ type }) => type === 'audit.gap')
  assert.partialDeepStrictEqual(gap, { detail: { code: 'ENOSPC', pulls: 'refused' } })
})

test('with whenFull "open" pulls go on over a full audit disk, acts do not, and the gap is recorded', {
  skip,
}, async (t) => {
  const { daemon, port, manifest, token, fill, makeRoom, records } = await startOnSmallDisk(t, 'open')
  await fill()
  await eventually(
    'it is noticed',
    async () => {
      assert.equal((await ask(port(), manifest, token())).status, 200)
      return daemon.log().includes('the audit cannot be written')
    },
    20_000,
  )
  // The room that is too small for the end of a pull may do for the record of the gap, once.
  assert.equal((await ask(port(), manifest, token())).status, 200)
  const ready = await fetch(`${daemon.health}/readyz`)
  assert.deepEqual([ready.status, /warning: the audit .*pulls are served/.test(await ready.text())], [200, true])
  assert.equal((await login(daemon)).code, 1)
  await makeRoom()
  assert.equal((await login(daemon)).code, 0)
  const all = await records()
  assert.deepEqual(
    all.map(({ seq }) => seq),
    all.map((_, place) => place + 1),
  )
  const gap = all.find(({ type }) => type === 'audit.gap')
  assert.ok(gap?.type === 'audit.gap' && Number(gap.detail['missing']) > 0)
  assert.equal(gap.detail['pulls'], 'served')
})
