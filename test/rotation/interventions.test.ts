import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RegcreddError } from '../../src/errors.ts'
import { versionOf } from '../../src/keychain/credential.ts'
import { admin, type Bench, createBench, ended, KEY, login, newPassword } from './kit.ts'

const rollback = { deadlineSeconds: 60, actor: admin }

async function committed(bench: Bench): Promise<string> {
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  bench.registry.password = 'new'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
  return id
}

async function stuck(bench: Bench): Promise<string> {
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  bench.registry.password = 'a third one'
  const { id } = await bench.rotations.start(KEY, newPassword('new', { deadlineSeconds: 0 }))
  assert.equal((await ended(bench.rotations, id)).state, 'STUCK')
  return id
}

async function currentOf(bench: Bench) {
  const stored = await bench.keychain.get(KEY)
  return stored && versionOf(stored, 'current')?.secret.reveal()
}

test('a rollback is a rotation of its own, to PREVIOUS; what it takes back becomes PREVIOUS', async () => {
  const bench = createBench()
  const id = await committed(bench)
  const back = await bench.rotations.rollback(id, rollback)
  assert.deepEqual([back.state, back.way, back.rollbackOf, back.version], ['STAGED', 'rollback', id, 'v3'])
  bench.registry.password = 'old'
  assert.equal((await ended(bench.rotations, back.id)).state, 'GRACE')
  assert.equal(await currentOf(bench), 'old')
  const stored = await bench.keychain.get(KEY)
  assert.deepEqual([stored?.current, stored?.previous, stored?.seq], ['v3', 'v2', 5])
})

test('a rollback of what is not in force, or whose PREVIOUS is gone, is refused', async () => {
  const bench = createBench()
  const id = await committed(bench)
  await bench.rotations.replaceCredential(KEY, login('new'), 'required', admin)
  await assert.rejects(bench.rotations.rollback(id, rollback), { code: 'ROLLBACK_IMPOSSIBLE' })
  await assert.rejects(bench.rotations.rollback('unknown', rollback), { code: 'ROTATION_NOT_FOUND' })
})

test('a rollback while another rotation is under way is refused', async () => {
  const bench = createBench()
  const id = await committed(bench)
  bench.registry.mood = 'hanging'
  await bench.rotations.start(KEY, newPassword('newer'))
  await assert.rejects(bench.rotations.rollback(id, rollback), { code: 'ROTATION_ACTIVE' })
  await bench.rotations.close()
})

test('a stuck rotation is resolved by the version that the registry accepts, whichever it is', async () => {
  for (const [version, password, state] of [
    ['v2', 'new', 'COMMITTED'],
    ['v1', 'old', 'ABORTED'],
  ] as const) {
    const bench = createBench()
    const id = await stuck(bench)
    bench.registry.password = password
    assert.equal((await bench.rotations.resolve(id, version, admin)).state, state)
    assert.equal(await currentOf(bench), password)
    await ended(bench.rotations, id)
    assert.ok(bench.mirrored.length >= 2, 'and mirrored')
    assert.equal((await bench.keychain.get(KEY))?.pending, undefined)
  }
})

test('a version that the registry does not accept resolves nothing; the answer says how each fared', async () => {
  const bench = createBench()
  const id = await stuck(bench)
  bench.registry.password = 'old'
  await assert.rejects(bench.rotations.resolve(id, 'v2', admin), {
    code: 'VERSION_REFUSED',
    detail: 'v2 (PENDING) rejected, v1 (CURRENT) accepted',
  })
  await assert.rejects(bench.rotations.resolve(id, 'v9', admin), { code: 'VERSION_REFUSED' })
  assert.equal((await bench.rotations.get(id)).state, 'STUCK')
  bench.registry.mood = 'down'
  await assert.rejects(bench.rotations.resolve(id, 'v1', admin), { detail: /v1 \(CURRENT\) unreachable/ })
})

test('PREVIOUS can be the right one', async () => {
  const bench = createBench()
  await committed(bench)
  bench.registry.password = 'a third one'
  const { id } = await bench.rotations.start(KEY, newPassword('newer', { deadlineSeconds: 0 }))
  assert.equal((await ended(bench.rotations, id)).state, 'STUCK')
  bench.registry.password = 'old'
  await bench.rotations.resolve(id, 'v1', admin)
  assert.equal(await currentOf(bench), 'old')
  const stored = await bench.keychain.get(KEY)
  assert.deepEqual([stored?.current, stored?.pending, stored?.previous], ['v1', undefined, 'v2'])
})

test('only a stuck rotation can be resolved', async () => {
  const bench = createBench()
  const id = await committed(bench)
  await assert.rejects(bench.rotations.resolve(id, 'v1', admin), { code: 'ROTATION_NOT_STUCK' })
})

test('while a rotation is stuck there is no other, and a login with a password that works is a way out', async () => {
  const bench = createBench()
  const id = await stuck(bench)
  await assert.rejects(bench.rotations.start(KEY, newPassword('x')), { code: 'ROTATION_ACTIVE', detail: /STUCK/ })
  await bench.rotations.replaceCredential(KEY, login('a third one'), 'required', admin)
  const { state, code } = await bench.rotations.get(id)
  assert.deepEqual([state, code, await currentOf(bench)], ['ABORTED', 'NO_VERSION_WORKS', 'a third one'])
})

test('a stuck rotation stays stuck over a restart, and all of its versions stay', async () => {
  const bench = createBench()
  const id = await stuck(bench)
  await bench.rotations.close()
  const later = createBench({ keychain: bench.keychain, journal: bench.parts.journal })
  await later.rotations.resume()
  assert.equal((await later.rotations.get(id)).state, 'STUCK')
  assert.equal((await later.keychain.get(KEY))?.versions.length, 2)
  assert.equal(later.registry.asked.length, 0)
})

test('following tells of each state until the end of the way, with notes in between', async () => {
  const bench = createBench()
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  bench.registry.onAsked = (count) => {
    if (count === 5) bench.registry.password = 'new'
  }
  const { keys } = bench.keychain
  let searches = 0
  bench.keychain.keys = () => {
    searches += 1
    return keys()
  }
  const states = new Set<string>()
  const notes = new Set<string | undefined>()
  for await (const { state, note } of bench.rotations.follow(id, new AbortController().signal)) {
    states.add(state)
    notes.add(note)
  }
  assert.deepEqual([[...states][0], [...states].at(-1)], ['STAGED', 'GRACE'])
  assert.equal(searches, 1, 'which credential it belongs to is asked once')
  assert.ok(notes.has('PENDING accepted (try 4)') || notes.has('PENDING rejected: 401 (try 1)'), [...notes].join())
})

test('following ends when the reader goes away and when the daemon stops', async () => {
  const bench = createBench()
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  bench.registry.mood = 'hanging'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  for (const stop of [(gone: AbortController) => gone.abort(), () => void bench.rotations.close()]) {
    const gone = new AbortController()
    let seen = 0
    for await (const _ of bench.rotations.follow(id, gone.signal)) {
      seen += 1
      setTimeout(() => stop(gone), 5)
    }
    assert.ok(seen >= 1)
  }
})

test('a rotation that another node of a fleet drives can be followed here too', async () => {
  const driving = createBench()
  await driving.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  driving.registry.mood = 'hanging'
  const { id } = await driving.rotations.start(KEY, newPassword('new'))
  const looking = createBench({
    keychain: driving.keychain,
    fleet: { node: 'node-2', isLive: async () => true, allAdopted: async () => true, leads: () => false },
  })
  const states: string[] = []
  for await (const { state } of looking.rotations.follow(id, AbortSignal.timeout(20_000))) {
    states.push(state)
    if (states.length > 1) break
    await driving.rotations.abort(id, admin)
  }
  assert.deepEqual(states, ['STAGED', 'ABORTED'])
})

test('what was begun, taken back or resolved goes on, although the audit could not take its outcome any more', async () => {
  let failing = ''
  const bench = createBench({
    onAct: ({ phase, action }) => {
      if (phase === 'outcome' && action === failing) throw new RegcreddError('AUDIT_UNAVAILABLE')
    },
  })
  const begunUnheard = async (action: string, begin: () => Promise<unknown>) => {
    failing = action
    await assert.rejects(begin(), { code: 'AUDIT_UNAVAILABLE' })
    failing = ''
    const [newest] = await bench.rotations.list(KEY)
    return newest?.id ?? assert.fail()
  }
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  bench.registry.password = 'new'
  const id = await begunUnheard('rotation.start', () => bench.rotations.start(KEY, newPassword('new')))
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
  bench.registry.password = 'old'
  const back = await begunUnheard('rotation.start', () => bench.rotations.rollback(id, rollback))
  assert.equal((await ended(bench.rotations, back)).state, 'GRACE')
  bench.registry.password = 'a third one'
  const { id: stuckId } = await bench.rotations.start(KEY, newPassword('newer', { deadlineSeconds: 0 }))
  assert.equal((await ended(bench.rotations, stuckId)).state, 'STUCK')
  bench.registry.password = 'newer'
  await begunUnheard('rotation.resolve', () => bench.rotations.resolve(stuckId, 'v4', admin))
  assert.equal((await ended(bench.rotations, stuckId)).state, 'GRACE')
})

test('a dry run changes nothing, sends CURRENT alone, and tells what would be and why not', async () => {
  const bench = createBench({
    countPulls: async () => 42,
    placesOf: async () => ({
      secrets: [{ namespace: 'team-a', secretName: 'regcred', serviceAccounts: [] }],
      nodes: ['node-1'],
    }),
  })
  const nothing = await bench.rotations.dryRun(KEY, { way: 'generated', deadlineSeconds: 60 })
  assert.deepEqual(
    nothing.refusals.map(({ code }) => code),
    ['CREDENTIAL_NOT_FOUND', 'HOOK_NOT_CONFIGURED'],
  )
  await committed(bench)
  bench.registry.asked.length = 0
  const before = JSON.stringify(await bench.keychain.get(KEY))
  const acts = bench.acts.length
  const run = await bench.rotations.dryRun(KEY, { way: 'provided', deadlineSeconds: 60 })
  assert.deepEqual(run.current, { version: 'v2', username: 'ci', verdict: 'accepted', detail: undefined })
  assert.deepEqual([run.refusals, run.forgotten, run.pulls], [[], 'v1', { count: 42, days: 7 }])
  assert.deepEqual(run.kubernetes?.nodes, ['node-1'])
  assert.deepEqual(
    bench.registry.asked.map(({ password }) => password),
    ['new'],
  )
  assert.deepEqual([JSON.stringify(await bench.keychain.get(KEY)), bench.acts.length], [before, acts])
})

test('a journal that cannot be written lets no rotation begin, and one that is under way waits', async () => {
  const bench = createBench()
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  const { journal } = bench.parts
  const { write } = journal
  let isFull = true
  journal.write = async (entry) => {
    if (isFull) throw new RegcreddError('JOURNAL_UNAVAILABLE', 'ENOSPC')
    await write(entry)
  }
  await assert.rejects(bench.rotations.start(KEY, newPassword('new')), { code: 'JOURNAL_UNAVAILABLE' })
  assert.equal((await bench.keychain.get(KEY))?.pending, undefined, 'nothing is staged')
  isFull = false
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  isFull = true
  bench.registry.password = 'new'
  const full = bench.faults.length
  for (let turn = 0; turn < 200 && bench.faults.length < full + 4; turn += 1) await new Promise(setImmediate)
  assert.equal((await bench.rotations.get(id)).state, 'STAGED')
  assert.equal(await currentOf(bench), 'old', 'no act without its intent')
  isFull = false
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
})
