import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { RegcreddError } from '../../src/errors.ts'
import { versionOf } from '../../src/keychain/credential.ts'
import { createRotations } from '../../src/rotation/machine.ts'
import { MAX_TRIES } from '../../src/rotation/schedule.ts'
import { Secret } from '../../src/secret.ts'
import { admin, type Bench, createBench, ended, KEY, login, newPassword } from './kit.ts'

async function loggedIn(bench: Bench): Promise<Bench> {
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  return bench
}

async function currentPassword(bench: Bench): Promise<string | undefined> {
  const stored = await bench.keychain.get(KEY)
  return stored && versionOf(stored, 'current')?.secret.reveal()
}

const shapeOf = (bench: Bench) =>
  bench.acts.map((act) => `${act.action} ${act.phase}${act.outcome === undefined ? '' : ` ${act.outcome}`}`)

test('a password that the registry learns later is committed as soon as it does, and mirrored', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.onAsked = (count) => {
    if (count === 4) bench.registry.password = 'new'
  }
  const started = await bench.rotations.start(KEY, newPassword('new'))
  assert.equal(started.state, 'STAGED')
  assert.equal(await currentPassword(bench), 'old')
  const rotation = await ended(bench.rotations, started.id)
  assert.deepEqual([rotation.state, rotation.version, rotation.code, rotation.mirror], ['GRACE', 'v2', undefined, []])
  assert.equal(await currentPassword(bench), 'new')
  assert.deepEqual(bench.time.slept, [2_000, 3_000])
  assert.deepEqual(bench.mirrored, [KEY, KEY])
})

test('nothing is committed before the registry has accepted it', async () => {
  const bench = await loggedIn(createBench())
  const seen: (string | undefined)[] = []
  const spied = createBench({
    keychain: bench.keychain,
    verify: async (key, tried, signal) => {
      const stored = await bench.keychain.get(KEY)
      seen.push(stored && versionOf(stored, 'current')?.secret.reveal())
      return bench.registry.verify(key, tried, signal)
    },
  })
  const { id } = await spied.rotations.start(KEY, newPassword('wrong', { deadlineSeconds: 30 }))
  const rotation = await ended(spied.rotations, id)
  assert.equal(rotation.state, 'ABORTED')
  assert.ok(seen.length > 3)
  assert.deepEqual(new Set(seen), new Set(['old']))
})

test('at the deadline it is tried once more, then aborted with CREDENTIAL_REFUSED and CURRENT still in force', async () => {
  const bench = await loggedIn(createBench())
  const { id, deadline } = await bench.rotations.start(KEY, newPassword('wrong', { deadlineSeconds: 60 }))
  const rotation = await ended(bench.rotations, id)
  assert.deepEqual([rotation.state, rotation.code], ['ABORTED', 'CREDENTIAL_REFUSED'])
  assert.equal(rotation.endedAt, deadline)
  assert.equal(bench.time.now().toISOString(), deadline)
  const stored = await bench.keychain.get(KEY)
  assert.deepEqual([stored?.current, stored?.pending, stored?.versions.length], ['v1', undefined, 1])
})

test('a password that becomes right just before the last try is still committed', async () => {
  const bench = await loggedIn(createBench())
  const { id, deadline } = await bench.rotations.start(KEY, newPassword('new', { deadlineSeconds: 60 }))
  bench.registry.onAsked = () => {
    if (bench.time.now().toISOString() === deadline) bench.registry.password = 'new'
  }
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
})

test('a deadline of zero is one try', async () => {
  const bench = await loggedIn(createBench())
  const { id } = await bench.rotations.start(KEY, newPassword('wrong', { deadlineSeconds: 0 }))
  assert.equal((await ended(bench.rotations, id)).code, 'CREDENTIAL_REFUSED')
  assert.deepEqual(
    bench.registry.asked.map(({ password }) => password),
    ['old', 'wrong', 'old'],
    'PENDING is dropped only once CURRENT is seen to work',
  )
  assert.deepEqual(bench.time.slept, [])
})

test('a wrong password with a deadline of a day does not lock the account: at most a hundred tries', async () => {
  const bench = await loggedIn(createBench())
  const { id } = await bench.rotations.start(KEY, newPassword('wrong', { deadlineSeconds: 86_400 }))
  assert.equal((await ended(bench.rotations, id)).state, 'ABORTED')
  assert.ok(bench.registry.asked.length <= MAX_TRIES + 1, `${bench.registry.asked.length}`)
})

test('a registry that stays away decides nothing, however late it is: the first that it says afterwards does', async () => {
  for (const [password, state, code] of [
    ['new', 'GRACE', undefined],
    ['old', 'ABORTED', 'CREDENTIAL_REFUSED'],
    ['a third one', 'STUCK', 'NO_VERSION_WORKS'],
  ] as const) {
    const bench = await loggedIn(createBench())
    bench.registry.mood = 'down'
    const { id, deadline } = await bench.rotations.start(KEY, newPassword('new', { deadlineSeconds: 60 }))
    bench.registry.onAsked = () => {
      const isLate = bench.time.now().getTime() > Date.parse(deadline) + 600_000
      if (isLate) Object.assign(bench.registry, { mood: 'up', password })
    }
    const rotation = await ended(bench.rotations, id)
    assert.deepEqual([rotation.state, rotation.code], [state, code])
    const stored = await bench.keychain.get(KEY)
    assert.equal(stored?.versions.length, state === 'ABORTED' ? 1 : 2, 'what is refused alone is dropped')
  }
})

test('a registry that lets anybody in cannot verify, so the rotation is aborted at once', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.mood = 'open'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  assert.equal((await ended(bench.rotations, id)).code, 'CREDENTIAL_UNVERIFIABLE')
  assert.deepEqual(bench.time.slept, [])
})

test('a rotation takes the username along when it changes too', async () => {
  const bench = await loggedIn(createBench())
  Object.assign(bench.registry, { username: 'robot', password: 'new' })
  const { id } = await bench.rotations.start(KEY, newPassword('new', { username: 'robot' }))
  await ended(bench.rotations, id)
  const stored = await bench.keychain.get(KEY)
  assert.equal(stored && versionOf(stored, 'current')?.username, 'robot')
})

test('while one rotation is under way, another and a login are refused with its id and nothing is sent', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.mood = 'hanging'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  await setImmediate()
  const asked = bench.registry.asked.length
  const active = { code: 'ROTATION_ACTIVE', detail: `rotation ${id}` }
  await assert.rejects(bench.rotations.start(KEY, newPassword('newer')), active)
  await assert.rejects(bench.rotations.replaceCredential(KEY, login('newer'), 'required', admin), active)
  await assert.rejects(bench.rotations.removeCredential(KEY, admin), active)
  assert.equal(bench.registry.asked.length, asked)
  await bench.rotations.close()
})

test('of two rotations that begin at the same moment one is staged and the other refused', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.mood = 'hanging'
  const both = await Promise.allSettled([
    bench.rotations.start(KEY, newPassword('a')),
    bench.rotations.start(KEY, newPassword('b')),
  ])
  assert.deepEqual(both.map((one) => one.status).sort(), ['fulfilled', 'rejected'])
  await bench.rotations.close()
})

test('an abort drops PENDING, ends the polling and leaves CURRENT; a second abort is no error and no act', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.mood = 'hanging'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  await setImmediate()
  const aborted = await bench.rotations.abort(id, admin)
  assert.deepEqual([aborted.state, aborted.code], ['ABORTED', 'ROTATION_ABORTED'])
  assert.equal((await ended(bench.rotations, id)).state, 'ABORTED')
  const acts = bench.acts.length
  assert.equal((await bench.rotations.abort(id, admin)).code, 'ROTATION_ABORTED')
  assert.equal(bench.acts.length, acts)
  assert.equal((await bench.keychain.get(KEY))?.pending, undefined)
  assert.equal(await currentPassword(bench), 'old')
})

test('an abort that comes while the registry is answering "accepted" wins or is refused, never both', async () => {
  for (let turns = 0; turns < 12; turns += 1) {
    const bench = await loggedIn(createBench())
    bench.registry.password = 'new'
    const { id } = await bench.rotations.start(KEY, newPassword('new'))
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
    const outcome = await bench.rotations.abort(id, admin).then(
      () => 'ABORTED',
      (thrown: RegcreddError) => thrown.code,
    )
    const rotation = await ended(bench.rotations, id)
    assert.equal(rotation.state, outcome === 'ABORTED' ? 'ABORTED' : 'GRACE')
    assert.equal(await currentPassword(bench), outcome === 'ABORTED' ? 'old' : 'new')
    await bench.rotations.close()
  }
})

test('what was committed cannot be aborted', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.password = 'new'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  await ended(bench.rotations, id)
  await assert.rejects(bench.rotations.abort(id, admin), { code: 'ROTATION_SETTLED' })
  assert.equal(await currentPassword(bench), 'new')
})

test('the same idempotency key and body give the same rotation, under way or ended; another body is a conflict', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.mood = 'hanging'
  const request = newPassword('new', { idempotencyKey: 'k1' })
  const first = await bench.rotations.start(KEY, request)
  assert.equal((await bench.rotations.start(KEY, { ...request, secret: new Secret('new') })).id, first.id)
  const conflict = { code: 'IDEMPOTENCY_CONFLICT' }
  await assert.rejects(bench.rotations.start(KEY, { ...request, secret: new Secret('other') }), conflict)
  await assert.rejects(bench.rotations.start(KEY, { ...request, deadlineSeconds: 5 }), conflict)
  await bench.rotations.abort(first.id, admin)
  assert.equal((await bench.rotations.start(KEY, request)).state, 'ABORTED')
  assert.equal((await bench.keychain.get(KEY))?.rotations.length, 1)
  await bench.rotations.close()
})

test('an idempotency key is known after a restart', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.mood = 'hanging'
  const request = newPassword('new', { idempotencyKey: 'k1' })
  const first = await bench.rotations.start(KEY, request)
  await bench.rotations.close()
  const later = createBench({ keychain: bench.keychain })
  assert.equal((await later.rotations.start(KEY, request)).id, first.id)
  await assert.rejects(later.rotations.start(KEY, { ...request, secret: new Secret('x') }), {
    code: 'IDEMPOTENCY_CONFLICT',
  })
  await later.rotations.close()
})

test('after a restart a staged rotation goes on and is committed', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.mood = 'hanging'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  await bench.rotations.close()
  assert.equal((await bench.keychain.get(KEY))?.pending, 'v2')

  const later = createBench({ keychain: bench.keychain })
  later.registry.password = 'new'
  await later.rotations.resume()
  assert.equal((await ended(later.rotations, id)).state, 'GRACE')
  assert.equal(await currentPassword(later), 'new')
})

test('after a restart behind its deadline a rotation is tried once, then committed or aborted', async () => {
  for (const [password, state] of [
    ['old', 'ABORTED'],
    ['new', 'GRACE'],
  ] as const) {
    const bench = await loggedIn(createBench())
    bench.registry.mood = 'hanging'
    const { id } = await bench.rotations.start(KEY, newPassword('new', { deadlineSeconds: 60 }))
    await bench.rotations.close()

    const later = createBench({ keychain: bench.keychain })
    later.registry.password = password
    later.time.pass(3_600_000)
    await later.rotations.resume()
    assert.equal((await ended(later.rotations, id)).state, state)
    assert.equal(later.registry.asked.length, password === 'new' ? 1 : 2)
  }
})

test('after a restart a committed rotation is mirrored again', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.password = 'new'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  await ended(bench.rotations, id)

  const later = createBench({ keychain: bench.keychain })
  assert.equal((await later.rotations.get(id)).state, 'COMMITTED')
  await later.rotations.resume()
  assert.equal((await ended(later.rotations, id)).state, 'GRACE')
  assert.deepEqual(later.mirrored, [KEY])
  assert.equal(later.registry.asked.length, 0)
})

test('a mirror run that missed a Secret leaves the rotation MIRRORED, but partial', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.password = 'new'
  const failed = { namespace: 'b', secretName: 'regcred', outcome: 'failed' as const, detail: 'forbidden' }
  bench.results.push({ namespace: 'a', secretName: 'regcred', outcome: 'updated', detail: undefined }, failed)
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  const rotation = await ended(bench.rotations, id)
  assert.deepEqual([rotation.state, rotation.partial, rotation.mirror.at(-1)], ['GRACE', true, failed])
})

test('mirror runs of one credential follow one another, so that an older version is never written over a newer', async () => {
  let under = 0
  const overlaps: number[] = []
  const bench = createBench({
    mirror: async () => {
      under += 1
      overlaps.push(under)
      await setImmediate()
      under -= 1
      return []
    },
  })
  await bench.rotations.replaceCredential(KEY, login('old'), 'skip', admin)
  await bench.rotations.replaceCredential(KEY, login('older'), 'skip', admin)
  await bench.rotations.replaceCredential(KEY, login('oldest'), 'skip', admin)
  await setImmediate()
  await setImmediate()
  await setImmediate()
  assert.deepEqual(overlaps, [1, 1, 1])
})

test('every act is told before it is done and again after, and the commit is the daemon’s own', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.password = 'new'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  await ended(bench.rotations, id)
  await bench.rotations.removeCredential(KEY, admin)
  assert.deepEqual(shapeOf(bench), [
    'credential.put intent',
    'credential.put outcome ok',
    'rotation.start intent',
    'rotation.start outcome ok',
    'rotation.commit intent',
    'rotation.commit outcome ok',
    'credential.delete intent',
    'credential.delete outcome ok',
  ])
  const committed = bench.acts.find((act) => act.action === 'rotation.commit')
  assert.deepEqual(committed?.actor, { via: 'daemon', name: undefined })
  assert.deepEqual(committed?.detail, { rotation: id, version: 'v2' })
  assert.deepEqual(bench.acts[0]?.actor, admin)
})

test('an act whose intent cannot be written is not done: nothing is stored, nothing asked', async () => {
  const refuse = () => {
    throw new RegcreddError('AUDIT_UNAVAILABLE')
  }
  const bench = await loggedIn(createBench())
  const deaf = createBench({ keychain: bench.keychain, onAct: refuse })
  const before = await bench.keychain.get(KEY)
  const code = { code: 'AUDIT_UNAVAILABLE' }
  await assert.rejects(deaf.rotations.start(KEY, newPassword('new')), code)
  await assert.rejects(deaf.rotations.replaceCredential(KEY, login('old'), 'required', admin), code)
  await assert.rejects(deaf.rotations.removeCredential(KEY, admin), code)
  assert.deepEqual(await bench.keychain.get(KEY), before)
  assert.equal(deaf.registry.asked.length, 0)
})

test('an accepted password waits for the audit and the keychain, past any deadline, and is not asked for again', async () => {
  const bench = await loggedIn(createBench())
  let isBroken = false
  let refusals = 0
  const stubborn = createBench({
    keychain: bench.keychain,
    onAct: (act) => {
      if (!isBroken || act.action !== 'rotation.commit') return
      refusals += 1
      if (refusals === 20) isBroken = false
      throw new RegcreddError('AUDIT_UNAVAILABLE')
    },
  })
  stubborn.registry.password = 'new'
  isBroken = true
  const { id } = await stubborn.rotations.start(KEY, newPassword('new', { deadlineSeconds: 10 }))
  const rotation = await ended(stubborn.rotations, id)
  assert.equal(rotation.state, 'GRACE')
  assert.equal(stubborn.registry.asked.length, 1)
  assert.equal(stubborn.faults.length, 20)
  assert.ok(Date.parse(rotation.endedAt ?? '') > Date.parse(rotation.deadline))
})

test('a keychain that is locked for a while neither aborts a rotation nor loses it', async () => {
  const bench = await loggedIn(createBench())
  let reads = 0
  const locked = { ...bench.keychain }
  locked.get = async (key) => {
    reads += 1
    if (reads > 1 && reads < 10) throw new RegcreddError('KEYCHAIN_LOCKED')
    return bench.keychain.get(key)
  }
  const later = createBench({ keychain: locked })
  later.registry.password = 'new'
  const { id } = await later.rotations.start(KEY, newPassword('new'))
  await assert.rejects(later.rotations.get(id), { code: 'KEYCHAIN_LOCKED' })
  for (let turn = 0; turn < 100 && later.mirrored.length === 0; turn += 1) await setImmediate()
  assert.equal((await later.rotations.get(id)).state, 'GRACE')
  assert.ok(later.faults.length > 5)
})

test('resume waits for a keychain that is locked at the start', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.mood = 'hanging'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  await bench.rotations.close()
  let tries = 0
  const keychain = { ...bench.keychain }
  keychain.keys = async () => {
    tries += 1
    if (tries < 5) throw new RegcreddError('KEYCHAIN_LOCKED')
    return bench.keychain.keys()
  }
  const later = createBench({ keychain })
  later.registry.password = 'new'
  await later.rotations.resume()
  assert.equal((await ended(later.rotations, id)).state, 'GRACE')
  assert.equal(later.faults.length, 4)
})

test('a check that throws decides nothing and is reported', async () => {
  const bench = await loggedIn(createBench())
  let checks = 0
  const later = createBench({
    keychain: bench.keychain,
    verify: (...asked) => {
      checks += 1
      return checks < 4 ? Promise.reject(new TypeError('a mistake of ours')) : bench.registry.verify(...asked)
    },
  })
  bench.registry.password = 'new'
  const { id } = await later.rotations.start(KEY, newPassword('new', { deadlineSeconds: 5 }))
  assert.equal((await ended(later.rotations, id)).state, 'GRACE')
  assert.equal(later.faults.length, 3)
})

test('a mirror that throws is reported and tried again, and the rotation stays COMMITTED meanwhile', async () => {
  const bench = await loggedIn(createBench())
  const states: string[] = []
  const later = createBench({
    keychain: bench.keychain,
    mirror: async () => {
      const [newest] = await later.rotations.list(KEY)
      states.push(String(newest?.state))
      if (states.length < 3) throw new TypeError('a mistake')
      return []
    },
  })
  later.registry.password = 'new'
  const { id } = await later.rotations.start(KEY, newPassword('new'))
  assert.equal((await ended(later.rotations, id)).state, 'GRACE')
  assert.deepEqual([states, later.faults.length], [['COMMITTED', 'COMMITTED', 'COMMITTED'], 2])
})

test('a login that the registry refuses stores nothing', async () => {
  const bench = createBench()
  await assert.rejects(bench.rotations.replaceCredential(KEY, login('wrong'), 'required', admin), {
    code: 'CREDENTIAL_REFUSED',
  })
  assert.deepEqual(await bench.keychain.keys(), [])
  assert.deepEqual(shapeOf(bench), ['credential.put intent', 'credential.put outcome CREDENTIAL_REFUSED'])
})

test('a login that cannot be verified stores nothing, and says how to store it all the same', async () => {
  for (const [mood, code] of [
    ['down', 'UPSTREAM_UNREACHABLE'],
    ['open', 'CREDENTIAL_UNVERIFIABLE'],
  ] as const) {
    const bench = createBench()
    bench.registry.mood = mood
    const refused = bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
    await assert.rejects(refused, (thrown: RegcreddError) => {
      assert.equal(thrown.code, code)
      assert.match(thrown.message, /--no-verify/)
      return true
    })
    assert.deepEqual(await bench.keychain.keys(), [])
    const stored = await bench.rotations.replaceCredential(KEY, login('old'), 'skip', admin)
    assert.deepEqual(stored, { key: KEY, username: 'ci', version: 'v1', seq: 1 })
  }
})

test('a registry that is not listed gets no credential and no rotation; its old credential can be removed', async () => {
  const bench = await loggedIn(createBench())
  const unlisted = { code: 'REGISTRY_UNLISTED' }
  await assert.rejects(bench.rotations.start('other.example', newPassword('x')), unlisted)
  await assert.rejects(bench.rotations.replaceCredential('other.example', login('x'), 'skip', admin), unlisted)
  const later = createBench({ keychain: bench.keychain, isListed: () => false })
  await later.rotations.removeCredential(KEY, admin)
  assert.deepEqual(await later.keychain.keys(), [])
  await assert.rejects(later.rotations.removeCredential(KEY, admin), { code: 'CREDENTIAL_NOT_FOUND' })
})

test('wait gives up at its time, or when its caller goes, with the state as it is', async () => {
  const bench = await loggedIn(createBench())
  bench.registry.mood = 'hanging'
  const { id } = await bench.rotations.start(KEY, newPassword('new'))
  assert.equal((await bench.rotations.wait(id, 5, new AbortController().signal)).state, 'STAGED')
  assert.equal((await bench.rotations.wait(id, 60_000, AbortSignal.timeout(5))).state, 'STAGED')
  assert.equal((await bench.rotations.wait(id, 60_000, AbortSignal.abort())).state, 'STAGED')
  const waiting = bench.rotations.wait(id, 60_000, new AbortController().signal)
  await bench.rotations.close()
  assert.equal((await waiting).state, 'STAGED')
})

test('the list is newest first, of one credential or of all; an unknown id is not found', async () => {
  const bench = await loggedIn(createBench())
  const ids: string[] = []
  for (const password of ['a', 'b', 'c']) {
    const { id } = await bench.rotations.start(KEY, newPassword(password, { deadlineSeconds: 0 }))
    await ended(bench.rotations, id)
    ids.unshift(id)
  }
  assert.deepEqual(
    (await bench.rotations.list(undefined)).map((one) => one.id),
    ids,
  )
  assert.deepEqual(
    (await bench.rotations.list(KEY)).map((one) => one.id),
    ids,
  )
  assert.deepEqual(await bench.rotations.list('other.example'), [])
  await assert.rejects(bench.rotations.get('nonsense'), { code: 'ROTATION_NOT_FOUND' })
})

test('"not found" is only said when every item could be read', async () => {
  const bench = await loggedIn(createBench())
  const keychain = { ...bench.keychain, get: () => Promise.reject(new RegcreddError('KEYCHAIN_CORRUPT')) }
  const later = createRotations({ ...bench.parts, keychain })
  await assert.rejects(later.get('nonsense'), { code: 'KEYCHAIN_CORRUPT' })
})

test('after close nothing is begun any more', async () => {
  const bench = await loggedIn(createBench())
  await bench.rotations.close()
  const stopping = { code: 'SHUTTING_DOWN' }
  await assert.rejects(bench.rotations.start(KEY, newPassword('new')), stopping)
  await assert.rejects(bench.rotations.replaceCredential(KEY, login('x'), 'skip', admin), stopping)
  await assert.rejects(bench.rotations.removeCredential(KEY, admin), stopping)
})
