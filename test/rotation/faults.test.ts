import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RegcreddError } from '../../src/errors.ts'
import { versionOf } from '../../src/keychain/credential.ts'
import { admin, type Bench, createBench, KEY, login, newPassword } from './kit.ts'

const FAILURES = 4

/** A bench of which the n-th call of the stores fails, and the next ones too, and then all is well again. */
function faultyAt(at: number, kinds: ('journal' | 'update' | 'get')[]) {
  let calls = 0
  let failed = 0
  const bench: Bench = createBench({
    runHook: async (_hook, input) => {
      bench.registry.password = input.newSecret.reveal()
      return { outcome: 'done', made: undefined, note: 'done' }
    },
  })
  bench.policy.hook = { command: ['/hook'], timeoutMs: 1_000 }
  const fail = (kind: (typeof kinds)[number]) => {
    if (!kinds.includes(kind)) return
    calls += 1
    if (calls < at || failed >= FAILURES) return
    failed += 1
    throw kind === 'journal'
      ? new RegcreddError('JOURNAL_UNAVAILABLE', 'ENOSPC')
      : new RegcreddError(kind === 'get' ? 'KEYCHAIN_LOCKED' : 'KEYCHAIN_UNAVAILABLE')
  }
  const { journal, keychain } = bench.parts
  const { write } = journal
  const { update, get } = keychain
  return {
    bench,
    calls: () => calls,
    failed: () => failed,
    /** From here on: a login is no part of a rotation. */
    arm() {
      journal.write = async (entry) => {
        fail('journal')
        await write(entry)
      }
      keychain.update = async (...asked) => {
        fail('update')
        return update(...asked)
      }
      keychain.get = async (key) => {
        fail('get')
        return get(key)
      }
    },
    get: () => get(KEY),
  }
}

async function rotateThrough(at: number, kinds: ('journal' | 'update' | 'get')[]): Promise<number> {
  const { bench, arm, get, calls, failed } = faultyAt(at, kinds)
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  arm()
  let id: string | undefined
  let refusals = 0
  while (id === undefined) {
    try {
      id = (await bench.rotations.start(KEY, { ...newPassword(''), secret: undefined })).id
    } catch (thrown) {
      // Refused with a code, and nothing is staged: who asks again gets his rotation.
      assert.ok(thrown instanceof RegcreddError && /^(JOURNAL|KEYCHAIN)_/.test(thrown.code), String(thrown))
      assert.equal((await get())?.pending, undefined)
      refusals += 1
      assert.ok(refusals <= FAILURES)
    }
  }
  const where = `${kinds} call ${at}`
  for (let turn = 0; turn < 4_000; turn += 1) {
    await new Promise(setImmediate)
    const stored = (await get()) ?? assert.fail('the credential is gone')
    assert.ok(
      stored?.versions.some((version) => version.secret.reveal() === bench.registry.password),
      `${where}: none works`,
    )
    const [newest] = stored.rotations.slice(-1)
    if (newest?.state === 'COMMITTED') bench.time.pass(3_600_000)
    if (newest?.state === 'RETIRED') {
      assert.equal(versionOf(stored, 'current')?.secret.reveal(), bench.registry.password)
      assert.equal(stored.versions.length, 1)
      await bench.rotations.close()
      assert.equal(failed() > 0, at !== Number.POSITIVE_INFINITY, where)
      return calls()
    }
  }
  return assert.fail(`${where}: it does not come to its end: ${JSON.stringify(await get())}`)
}

for (const [what, kinds] of [
  ['a full disk at any write of the journal', ['journal']],
  ['a full disk at any write of the keychain', ['update']],
  ['a keyring that locks between any two steps', ['get', 'update']],
] as const) {
  test(`${what}: the rotation is refused with a code, or waits and comes to its end`, async (t) => {
    const calls = await rotateThrough(Number.POSITIVE_INFINITY, [...kinds])
    assert.ok(calls >= 3, `${calls} calls`)
    for (let at = 1; at <= calls; at += 1) await rotateThrough(at, [...kinds])
    t.diagnostic(`${calls} places`)
  })
}
