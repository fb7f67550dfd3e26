import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { RegcreddError } from '../../src/errors.ts'
import { versionOf } from '../../src/keychain/credential.ts'
import { alphabets, generateSecret } from '../../src/rotation/generate.ts'
import { stage } from '../../src/rotation/plan.ts'
import type { HookEnd, HookInput } from '../../src/rotation/ports.ts'
import { Secret } from '../../src/secret.ts'
import { admin, type Bench, createBench, createMemoryJournal, ended, KEY, login, newPassword } from './kit.ts'

const generate = (more: object = {}) => ({ ...newPassword('', more), secret: undefined })
const done: HookEnd = { outcome: 'done', made: undefined, note: 'done' }

/** A bench with a hook that does at the registry what `play` says, and with a password in force. */
async function withHook(play: (input: HookInput, run: number, bench: Bench) => HookEnd | Promise<HookEnd>) {
  const inputs: HookInput[] = []
  const bench: Bench = createBench({
    runHook: async (_hook, input) => {
      inputs.push(input)
      return play(input, inputs.length, bench)
    },
  })
  bench.policy.hook = { command: ['/hook'], timeoutMs: 1_000 }
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  return { bench, inputs }
}

const currentOf = async (bench: Bench) => {
  const stored = await bench.keychain.get(KEY)
  return stored && versionOf(stored, 'current')?.secret.reveal()
}

test('a generated password is stored, set by the hook, verified and in force; the hook gets old and new', async () => {
  let stagedFirst: string | undefined
  const { bench, inputs } = await withHook(async (input, _run, bench) => {
    const stored = await bench.keychain.get(KEY)
    stagedFirst = stored && versionOf(stored, 'pending')?.secret.reveal()
    bench.registry.password = input.newSecret.reveal()
    return done
  })
  const { id } = await bench.rotations.start(KEY, generate())
  const rotation = await ended(bench.rotations, id)
  assert.deepEqual(
    rotation.steps.map(({ state }) => state),
    ['STAGED', 'APPLIED', 'VERIFIED', 'COMMITTED', 'MIRRORED', 'GRACE'],
  )
  assert.equal(inputs.length, 1)
  assert.equal(inputs[0]?.oldSecret.reveal(), 'old')
  assert.equal(stagedFirst, bench.registry.password, 'durable before the registry changes')
  assert.equal(await currentOf(bench), bench.registry.password)
  assert.ok(!JSON.stringify(await bench.rotations.list(KEY)).includes(bench.registry.password))
})

test('a secret that the registry makes itself takes the place of the one that was proposed', async () => {
  const { bench } = await withHook((_input, _run, bench) => {
    Object.assign(bench.registry, { username: 'gitlab+deploy-token-9', password: 'gldt-made' })
    const made = {
      secret: new Secret('gldt-made'),
      username: 'gitlab+deploy-token-9',
      expiresAt: '2027-01-01T00:00:00.000Z',
    }
    return { outcome: 'done', made, note: 'made' }
  })
  const { id } = await bench.rotations.start(KEY, generate())
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
  const stored = await bench.keychain.get(KEY)
  const current = stored && versionOf(stored, 'current')
  assert.deepEqual(
    [current?.username, current?.secret.reveal(), current?.expiresAt, current?.madeBy],
    ['gitlab+deploy-token-9', 'gldt-made', '2027-01-01T00:00:00.000Z', id],
  )
})

for (const outcome of ['refused', 'unknown'] as const) {
  test(`a hook that ends as ${outcome} and has changed nothing: aborted, CURRENT in force, PENDING dropped`, async () => {
    const { bench, inputs } = await withHook(() => ({ outcome, isInFlight: false, note: 'it failed' }))
    const { id } = await bench.rotations.start(KEY, generate())
    const rotation = await ended(bench.rotations, id)
    assert.deepEqual([rotation.state, rotation.code], ['ABORTED', 'HOOK_FAILED'])
    assert.equal(inputs.length, outcome === 'refused' ? 1 : 3)
    assert.equal(await currentOf(bench), 'old')
    assert.equal((await bench.keychain.get(KEY))?.versions.length, 1)
  })
}

test('a hook that fails or dies after it has changed the password: PENDING is found to work, and committed', async () => {
  for (const end of [
    { outcome: 'unknown', isInFlight: true, note: 'killed' },
    { outcome: 'unknown', isInFlight: false, note: 'exit 1' },
    { outcome: 'retry', note: 'exit 75, and not true' },
  ] as const) {
    const { bench, inputs } = await withHook((input, _run, bench) => {
      bench.registry.password = input.newSecret.reveal()
      return end
    })
    const { id } = await bench.rotations.start(KEY, generate())
    assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
    assert.equal(inputs.length, 1, 'it is not run again')
  }
})

test('what a killed hook had sent may still come: PENDING is kept and tried until the deadline', async () => {
  const { bench } = await withHook(() => ({ outcome: 'unknown', isInFlight: true, note: 'killed' }))
  const { id } = await bench.rotations.start(KEY, generate())
  const beganMs = bench.time.monotonicMs()
  bench.registry.onAsked = () => {
    if (bench.time.monotonicMs() - beganMs < 300_000) return
    void bench.keychain.get(KEY).then((stored) => {
      const pending = stored && versionOf(stored, 'pending')?.secret.reveal()
      if (pending !== undefined) bench.registry.password = pending
    })
  }
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
})

test('a hook that asks to be run again is, until it works', async () => {
  const { bench, inputs } = await withHook((input, run, bench) => {
    if (run < 6) return { outcome: 'retry', note: 'busy' }
    bench.registry.password = input.newSecret.reveal()
    return done
  })
  const { id } = await bench.rotations.start(KEY, generate())
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
  assert.equal(inputs.length, 6)
  assert.equal(new Set(inputs.map(({ newSecret }) => newSecret.reveal())).size, 1, 'with the same password')
})

test('a hook that has set something else: no version works, so the rotation is stuck and all versions are kept', async () => {
  const { bench } = await withHook((_input, _run, bench) => {
    bench.registry.password = 'a third one'
    return done
  })
  const { id } = await bench.rotations.start(KEY, generate({ deadlineSeconds: 60 }))
  const rotation = await ended(bench.rotations, id)
  assert.deepEqual([rotation.state, rotation.code], ['STUCK', 'NO_VERSION_WORKS'])
  const stored = await bench.keychain.get(KEY)
  assert.deepEqual([stored?.current, stored?.pending, stored?.versions.length], ['v1', 'v2', 2])
})

test('the registry going down right after the hook neither aborts nor loses anything', async () => {
  const { bench } = await withHook((input, _run, bench) => {
    Object.assign(bench.registry, { password: input.newSecret.reveal(), mood: 'down' })
    return done
  })
  const { id } = await bench.rotations.start(KEY, generate({ deadlineSeconds: 30 }))
  const upAgainMs = bench.time.monotonicMs() + 3_600_000
  bench.registry.onAsked = () => {
    if (bench.time.monotonicMs() > upAgainMs) bench.registry.mood = 'up'
  }
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
})

test('a hook is not run at a registry that lets anybody in: its work could not be verified', async () => {
  const { bench, inputs } = await withHook(() => done)
  bench.registry.mood = 'open'
  const { id } = await bench.rotations.start(KEY, generate())
  assert.equal((await ended(bench.rotations, id)).code, 'CREDENTIAL_UNVERIFIABLE')
  assert.equal(inputs.length, 0)
})

test('a rotation that does not say how its password came to be was posted: no hook is run for it', async () => {
  const { bench, inputs } = await withHook(() => done)
  await bench.rotations.close()
  await bench.keychain.update(KEY, (before) => {
    const asked = { rotationId: 'r-1', idempotencyKey: undefined, bodyHash: undefined, now: bench.time.now() }
    const staged = stage(before, { ...asked, login: login('new'), deadline: bench.time.now() })
    return { ...staged, rotations: staged.rotations.map(({ way: _, ...record }) => record) }
  })
  const later = createBench({ keychain: bench.keychain, journal: bench.parts.journal, runHook: bench.parts.runHook })
  later.policy.hook = { command: ['/hook'], timeoutMs: 1_000 }
  await later.rotations.resume()
  const rotation = await ended(later.rotations, 'r-1')
  assert.deepEqual([rotation.way, rotation.state, inputs.length], ['provided', 'ABORTED', 0])
})

test('without a hook a generated password is refused and nothing is staged', async () => {
  const bench = createBench()
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  await assert.rejects(bench.rotations.start(KEY, generate()), { code: 'HOOK_NOT_CONFIGURED' })
  assert.equal((await bench.keychain.get(KEY))?.pending, undefined)
})

test('a keychain that locks between the hook and the storing of what it made is waited for, and the hook not run again', async () => {
  const { bench, inputs } = await withHook((_input, _run, bench) => {
    bench.registry.password = 'gldt-made'
    return { outcome: 'done', made: { secret: new Secret('gldt-made') }, note: 'made' }
  })
  const { update } = bench.keychain
  let locked = 0
  bench.keychain.update = async (key, change) => {
    if (inputs.length === 1 && locked < 5) {
      locked += 1
      throw new RegcreddError('KEYCHAIN_LOCKED')
    }
    return update(key, change)
  }
  const { id } = await bench.rotations.start(KEY, generate())
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
  assert.deepEqual([inputs.length, locked], [1, 5])
})

test('aborting before the hook has run drops PENDING; afterwards only where CURRENT is seen to work', async () => {
  const { bench } = await withHook(async (input, _run, bench) => {
    bench.registry.password = input.newSecret.reveal()
    bench.registry.mood = 'down'
    return done
  })
  const { id } = await bench.rotations.start(KEY, generate())
  for (let turn = 0; turn < 20 && bench.registry.mood !== 'down'; turn += 1) await setImmediate()
  await assert.rejects(bench.rotations.abort(id, admin), { code: 'ROTATION_APPLIED' })
  bench.registry.mood = 'up'
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE', 'it goes on')
})

test('an abort kills no hook that is running, and drops nothing while what a killed one has sent may still come', async () => {
  const began = Promise.withResolvers<AbortSignal>()
  const hook = Promise.withResolvers<HookEnd>()
  const bench = createBench({
    runHook: (_hook, _input, signal) => {
      began.resolve(signal)
      return hook.promise
    },
  })
  bench.policy.hook = { command: ['/hook'], timeoutMs: 1_000 }
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  const { id } = await bench.rotations.start(KEY, generate())
  const signal = await began.promise
  await assert.rejects(bench.rotations.abort(id, admin), { code: 'ROTATION_APPLIED' })
  assert.equal(signal.aborted, false)
  bench.registry.mood = 'hanging'
  hook.resolve({ outcome: 'unknown', isInFlight: true, note: 'killed' })
  for (let turn = 0; turn < 20; turn += 1) await setImmediate()
  bench.registry.mood = 'up'
  await assert.rejects(bench.rotations.abort(id, admin), { code: 'ROTATION_APPLIED' }, 'although CURRENT works now')
  assert.equal((await bench.keychain.get(KEY))?.pending, 'v2')
  await bench.rotations.close()
})

test('an abort kills no hook that is running, also where the deadline was none', async () => {
  const began = Promise.withResolvers<AbortSignal>()
  const hook = Promise.withResolvers<HookEnd>()
  const runHook = (_hook: unknown, _input: unknown, signal: AbortSignal) => {
    began.resolve(signal)
    signal.addEventListener('abort', () => hook.resolve({ outcome: 'unknown', isInFlight: true, note: 'killed' }))
    return hook.promise
  }
  const bench = createBench({ runHook })
  bench.policy.hook = { command: ['/hook'], timeoutMs: 1_000 }
  await bench.rotations.replaceCredential(KEY, login('old'), 'required', admin)
  const { id } = await bench.rotations.start(KEY, generate({ deadlineSeconds: 0 }))
  const signal = await began.promise
  await assert.rejects(bench.rotations.abort(id, admin), { code: 'ROTATION_APPLIED' })
  assert.equal(signal.aborted, false)
  await bench.rotations.close()
})

for (const [what, lose] of [
  ['the journal was lost', (bench: Bench) => ({ journal: createMemoryJournal(bench.time.now) })],
  ['the hook is configured no more', (bench: Bench) => ({ journal: bench.parts.journal })],
] as const) {
  test(`a hook may have run, and ${what}: an abort drops PENDING only where CURRENT is seen to work`, async () => {
    const { bench } = await withHook((_input, _run, bench) => {
      bench.registry.mood = 'hanging'
      return done
    })
    const { id } = await bench.rotations.start(KEY, generate())
    for (let turn = 0; turn < 20 && bench.registry.mood === 'up'; turn += 1) await setImmediate()
    await bench.rotations.close()
    const later = createBench({ keychain: bench.keychain, ...lose(bench) })
    later.registry.mood = 'down'
    await assert.rejects(later.rotations.abort(id, admin), { code: 'ROTATION_APPLIED' })
    later.registry.mood = 'up'
    assert.equal((await later.rotations.abort(id, admin)).state, 'ABORTED')
  })
}

test('a generated rotation that was committed is settled, whatever the registry says when somebody aborts it', async () => {
  const { bench } = await withHook((input, _run, bench) => {
    bench.registry.password = input.newSecret.reveal()
    return done
  })
  const { id } = await bench.rotations.start(KEY, generate())
  assert.equal((await ended(bench.rotations, id)).state, 'GRACE')
  bench.registry.mood = 'down'
  await assert.rejects(bench.rotations.abort(id, admin), { code: 'ROTATION_SETTLED' })
})

test('what the registry has made and could not be stored before the stop is made anew by the next process', async () => {
  const { bench } = await withHook(() => {
    bench.keychain.update = async () => {
      throw new RegcreddError('KEYCHAIN_LOCKED')
    }
    return { outcome: 'done', made: { secret: new Secret('lost') }, note: 'made' }
  })
  const { get, update } = bench.keychain
  const { id } = await bench.rotations.start(KEY, generate())
  for (let turn = 0; turn < 200 && bench.faults.length === 0; turn += 1) await setImmediate()
  await bench.rotations.close()
  const later = createBench({
    keychain: { ...bench.keychain, get, update },
    journal: bench.parts.journal,
    runHook: async () => {
      later.registry.password = 'made again'
      return { outcome: 'done', made: { secret: new Secret('made again') }, note: 'made' }
    },
  })
  later.policy.hook = { command: ['/hook'], timeoutMs: 1_000 }
  await later.rotations.resume()
  assert.equal((await ended(later.rotations, id)).state, 'GRACE')
  assert.equal(await currentOf(later), 'made again')
})

test('the same Idempotency-Key gives the same rotation although each generated password is another; another form is a conflict', async () => {
  const { bench } = await withHook((input, _run, bench) => {
    bench.registry.password = input.newSecret.reveal()
    return done
  })
  const asked = generate({ idempotencyKey: 'k', generate: { length: 30, alphabet: 'hex' } })
  const first = await bench.rotations.start(KEY, asked)
  const again = await bench.rotations.start(KEY, { ...asked, generate: { alphabet: 'hex', length: 30 } })
  assert.equal(again.id, first.id)
  for (const other of [
    { ...asked, generate: { length: 31 } },
    { ...asked, secret: new Secret('x') },
  ])
    await assert.rejects(bench.rotations.start(KEY, other), { code: 'IDEMPOTENCY_CONFLICT' })
  await ended(bench.rotations, first.id)
  assert.match(bench.registry.password, /^[0-9a-f]{30}$/)
})

test('generated secrets have their length, every kind of character, and are never the same', () => {
  const seen = new Set<string>()
  for (const alphabet of alphabets) {
    for (let turn = 0; turn < 200; turn += 1) {
      const secret = generateSecret({ length: 20, alphabet }).reveal()
      assert.equal(secret.length, 20)
      assert.match(secret, /[a-z].*|.*[a-z]/)
      assert.match(secret, /\d/)
      if (alphabet !== 'hex') assert.match(secret, /[A-Z]/)
      if (alphabet === 'signs') assert.match(secret, /[-._~]/)
      seen.add(secret)
    }
  }
  assert.equal(seen.size, 200 * alphabets.length)
})
