import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepKnown } from '../../src/keychain/known.ts'
import { createOsItems, createOsKeychain } from '../../src/keychain/os.ts'
import { createHelperProcess, type HelperProcess } from '../../src/keychain/os-process.ts'
import { createLockProbe, type LockProbe } from '../../src/keychain/secret-service.ts'
import { type Keyring, skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { describeKeychain } from './conformance.ts'
import { countUp, passwordOf, sample, stateOf } from './sample.ts'

const KEY = 'r.example'
const skip = skipWithoutKeyring()
let keyring: Keyring
let helper: HelperProcess | undefined
let probe: LockProbe | undefined
let services = 0

before(async () => {
  if (skip === false) keyring = await startKeyring()
})
after(async () => {
  probe?.close()
  await helper?.close()
  await keyring?.close()
})

describeKeychain({
  name: 'a real keyring',
  skip,
  durable: true,
  open: async (t) => {
    services += 1
    const service = `regcredd-conformance-${services}`
    return {
      keychain: { ...shared(service), close: async () => undefined },
      // By the connection that holds the name.
      reopen: async () => open(t, { service, probe: { ...sharedProbe(), close: () => undefined } }).keychain,
    }
  },
})

/** Most tests share one helper and one connection: each new client of the bus can crash gnome-keyring. */
function shared(service: string) {
  helper ??= createHelperProcess({ timeoutMs: 30_000, environment: keyring.env })
  return createOsKeychain({ service, timeoutMs: 30_000, helper, probe: sharedProbe() })
}

function sharedProbe(): LockProbe {
  probe ??= createLockProbe(keyring.env)
  return probe
}

describe('the store in the keyring', { skip }, () => {
  it('tells a locked keyring from an absent credential', async (t) => {
    const { keychain } = open(t)
    await keychain.update(KEY, () => sample(KEY, 'kept'))
    await keyring.lock()
    t.after(() => keyring.unlock())
    assert.equal(await stateOf(keychain), 'locked')
    for (const key of [KEY, 'absent.example']) {
      await assert.rejects(keychain.get(key), { code: 'KEYCHAIN_LOCKED', message: /--unlock/ })
      await assert.rejects(keychain.update(key, countUp(key)), { code: 'KEYCHAIN_LOCKED' })
    }
    await assert.rejects(keychain.keys(), { code: 'KEYCHAIN_LOCKED' })
    await keyring.unlock()
    assert.equal(await stateOf(keychain), 'ready')
    assert.equal(passwordOf(await keychain.get(KEY)), 'kept')
    assert.deepEqual(await keychain.keys(), [KEY])
    assert.equal(await keychain.get('absent.example'), undefined)
  })

  it('calls nothing absent that a keyring hides which is locked in the midst of a reading', async (t) => {
    const lockedMeanwhile = () => open(t, { probe: says('unlocked', 'locked') }).keychain
    await keyring.lock()
    t.after(() => keyring.unlock())
    await assert.rejects(lockedMeanwhile().get(KEY), { code: 'KEYCHAIN_LOCKED' })
    await assert.rejects(lockedMeanwhile().all(), { code: 'KEYCHAIN_LOCKED' })
  })

  it('says of a refused writing that the keyring was locked in its midst', async (t) => {
    const { helper, service } = open(t)
    const keychain = createOsKeychain({
      service,
      timeoutMs: 30_000,
      helper,
      probe: says('unlocked', 'unlocked', 'unlocked', 'unlocked', 'unlocked', 'locked'),
    })
    await keyring.lock()
    t.after(() => keyring.unlock())
    await assert.rejects(
      keychain.update(KEY, () => sample(KEY)),
      { code: 'KEYCHAIN_LOCKED' },
    )
  })

  it('serves what is known while the keyring is locked, at once', async (t) => {
    const { keychain } = open(t)
    await keychain.update(KEY, () => sample(KEY, 'known'))
    const known = keepKnown(keychain, { clock: Date.now })
    assert.equal((await known.refresh()).state, 'ready')
    await keyring.lock()
    t.after(() => keyring.unlock())
    assert.equal((await known.refresh()).code, 'KEYCHAIN_LOCKED')
    assert.equal(passwordOf((await known.lend(KEY))?.credential), 'known')
    await assert.rejects(known.lend('unknown.example'), { code: 'KEYCHAIN_LOCKED' })
    await keyring.unlock()
    assert.equal((await known.refresh()).state, 'ready')
  })

  it('finds a keyring again that died and came back', async (t) => {
    const { keychain } = open(t)
    await keychain.update(KEY, () => sample(KEY, 'kept'))
    await keyring.kill()
    assert.equal(await stateOf(keychain), 'unavailable')
    await assert.rejects(keychain.get(KEY), {
      code: 'KEYCHAIN_UNAVAILABLE',
      message: /no keyring is on the session bus/,
    })
    await keyring.start()
    assert.equal(passwordOf(await keychain.get(KEY)), 'kept')
    assert.equal(await stateOf(keychain), 'ready')
  })

  it('loses no acknowledged update when the keyring is killed', async (t) => {
    const { keychain } = open(t)
    for (let round = 0; round < 3; round += 1) {
      let acknowledged = 0
      let killing: Promise<void> | undefined
      const counting = async () => {
        for (let count = 0; count < 10_000; count += 1) {
          acknowledged = (await keychain.update(KEY, countUp(KEY)))?.seq ?? 0
          if (count === 2) killing = sleep(round * 7).then(keyring.kill)
        }
      }
      await assert.rejects(counting(), { code: 'KEYCHAIN_UNAVAILABLE' })
      await killing
      await keyring.start()
      const stored = (await keychain.get(KEY))?.seq ?? 0
      assert.ok(
        acknowledged > 0 && (stored === acknowledged || stored === acknowledged + 1),
        `${stored} after ${acknowledged}`,
      )
    }
  })

  it('gives up on a keyring that hangs, and goes on when it does', async (t) => {
    const probe = createLockProbe(keyring.env)
    const { keychain, helper, service } = open(t, { probe })
    await keychain.update(KEY, () => sample(KEY, 'kept'))
    const impatient = createOsKeychain({ service, timeoutMs: 500, helper, probe })
    keyring.stop()
    t.after(() => keyring.resume())
    const began = performance.now()
    const reading = Array.from({ length: 40 }, () =>
      assert.rejects(impatient.get(KEY), { code: 'KEYCHAIN_UNAVAILABLE', message: /did not answer in time/ }),
    )
    await Promise.all(reading)
    // One after the other they would take twenty seconds.
    assert.ok(performance.now() - began < 10_000, 'the calls must not wait for each other')
    keyring.resume()
    assert.equal(passwordOf(await keychain.get(KEY)), 'kept')
  })

  it('kills a helper that hangs in the keyring, and no other work of the daemon waits meanwhile', async (t) => {
    const { keychain, helper, service } = open(t, { timeoutMs: 3_000, probe: says('unlocked') })
    await shared(service).update(KEY, () => sample(KEY, 'kept'))
    assert.equal(passwordOf(await keychain.get(KEY)), 'kept')
    const hanging = helper.pid()
    keyring.stop()
    t.after(() => keyring.resume())
    let given = 0
    const [first, ...others] = Array.from({ length: 3 }, () => keychain.get(KEY).finally(() => (given += 1)))
    const killed = assert.rejects(first ?? assert.fail(), {
      code: 'KEYCHAIN_UNAVAILABLE',
      message: /did not answer within 3000 ms/,
    })
    await sleep(50)
    for (let round = 0; round < 8; round += 1) await readFile(import.meta.filename)
    assert.equal(given, 0)
    await killed
    keyring.resume()
    // They waited for their turn, and get a helper that finds the keyring.
    for (const read of await Promise.all(others)) assert.equal(passwordOf(read), 'kept')
    assert.notEqual(helper.pid(), hanging)
  })

  it('names the item that it cannot read, and never shows it', async (t) => {
    const { keychain, helper, service } = open(t)
    await keychain.update(KEY, () => sample(KEY))
    await helper.call({ do: 'set', service, account: KEY, text: '{"canary-4711' })
    await assert.rejects(keychain.get(KEY), (error: Error) => {
      assert.ok('code' in error && error.code === 'KEYCHAIN_CORRUPT')
      assert.ok(error.message.includes(KEY) && !`${error.stack}${error.cause}`.includes('canary'))
      return true
    })
    await assert.rejects(
      keychain.update(KEY, () => sample(KEY)),
      { code: 'KEYCHAIN_CORRUPT' },
    )
  })

  it('lists no key whose item is gone, and takes no broken list for an empty one', async (t) => {
    const { keychain, helper, service } = open(t)
    for (const key of [KEY, 'b.example']) await keychain.update(key, () => sample(key))
    await helper.call({ do: 'delete', service, account: 'b.example' })
    assert.deepEqual(await keychain.keys(), [KEY])
    await helper.call({ do: 'set', service, account: '#index', text: '["canary-4711"]' })
    await assert.rejects(keychain.keys(), { code: 'KEYCHAIN_CORRUPT', message: /^((?!canary).)*$/ })
    assert.equal(passwordOf(await keychain.get(KEY)), 'pass')
  })

  it('does not take a keyring that has lost its list for an empty one: what is known stays known, and nothing is written', async (t) => {
    const { keychain, helper, service } = open(t)
    for (const key of [KEY, 'b.example']) await keychain.update(key, () => sample(key, 'kept'))
    const known = keepKnown(keychain, { clock: Date.now })
    await known.refresh()
    for (const account of [KEY, 'b.example', '#index']) await helper.call({ do: 'delete', service, account })
    const { state, detail } = await known.refresh()
    assert.equal(state, 'unavailable')
    assert.match(String(detail), /as if it had never been; bring it back/)
    for (const key of [KEY, 'b.example']) assert.equal(passwordOf(await known.get(key)), 'kept')
    await assert.rejects(known.update(KEY, countUp(KEY)), { code: 'KEYCHAIN_UNAVAILABLE' })
    assert.deepEqual(await open(t, { service, probe: says('unlocked') }).keychain.keys(), [])
  })

  it('puts no password into the argv or environment of the helper, nor more of its own environment than must be', async (t) => {
    const environment = { ...keyring.env, NOTIFY_SOCKET: '/run/canary-4711', NODE_OPTIONS: '--title=canary-4711' }
    const { keychain, helper } = open(t, { environment })
    await keychain.update(KEY, () => sample(KEY, 'canary-4711'))
    for (const file of ['cmdline', 'environ']) {
      const text = await readFile(`/proc/${helper.pid()}/${file}`, 'utf8')
      assert.ok(text.length > 0 && !text.includes('canary'), text)
    }
    assert.equal((await readFile(`/proc/${helper.pid()}/coredump_filter`, 'utf8')).trim(), '00000000')
  })
})

it('two daemons cannot use one service name of a keyring at one time, and the second goes on when the first is gone', {
  skip,
}, async (t) => {
  const { keychain: first, service } = open(t)
  await first.update(KEY, () => sample(KEY, 'kept'))
  const { keychain: second } = open(t, { service })
  const attempts = [() => second.get(KEY), () => second.all(), () => second.update(KEY, countUp(KEY))]
  for (const attempt of attempts)
    await assert.rejects(attempt, {
      code: 'KEYCHAIN_UNAVAILABLE',
      message: /another regcredd .*"regcredd-test-\d+" already; stop that one/,
    })
  const known = keepKnown(second, { clock: Date.now })
  assert.equal((await known.refresh()).state, 'unavailable')
  assert.equal(await open(t).keychain.get(KEY), undefined, 'another name is free')
  assert.equal(passwordOf(await first.get(KEY)), 'kept')
  await first.close()
  assert.equal((await known.refresh()).state, 'ready')
  assert.equal(passwordOf(known.known(KEY)), 'kept')
})

it('a keyring that nobody has ever unlocked is not ready', { skip }, async (t) => {
  const fresh = await startKeyring()
  t.after(() => fresh.close())
  await fresh.kill()
  await fresh.startEmpty()
  const { keychain } = open(t, { environment: fresh.env })
  await assert.rejects(keychain.get(KEY), { code: 'KEYCHAIN_UNAVAILABLE', message: /no default collection/ })
})

it('a hundred credentials are read with eight calls to the keyring and not with one for each', async () => {
  const held = new Map<string, string>()
  let calls = 0
  const counting: HelperProcess = {
    async call(request) {
      if (request.do === 'set') held.set(request.account, request.text)
      return undefined
    },
    async getMany(_service, accounts) {
      calls += 1
      return accounts.map((account) => held.get(account))
    },
    pid: () => undefined,
    close: async () => undefined,
  }
  const keychain = createOsKeychain({ service: 'x', timeoutMs: 1_000, helper: counting, probe: undefined })
  for (let index = 0; index < 100; index += 1)
    await keychain.update(`r${index}.example`, () => sample(`r${index}.example`))
  calls = 0
  assert.equal((await keychain.all()).size, 100)
  assert.equal(calls, 8)
})

it('a keyring that is opened to be read is claimed by no name, and its witness told nothing', async () => {
  for (const access of ['read', 'write'] as const) {
    const acts = new Set<string>()
    const items = createOsItems({
      service: 'x',
      timeoutMs: 1_000,
      helper: {
        call: async () => undefined,
        getMany: async (_service, accounts) => accounts.map(() => '{"schema":1,"keys":[]}'),
        pid: () => undefined,
        close: async () => undefined,
      },
      probe: { ...says('unlocked'), claim: async () => void acts.add('claimed') },
      witness: { hasSeen: false, saw: async () => void acts.add('told') },
      access,
    })
    assert.equal((await items.readAll()).size, 0)
    assert.deepEqual([...acts], access === 'read' ? [] : ['claimed', 'told'])
  }
})

it('a keychain without a session bus says so and starts nothing', async (t) => {
  const { keychain, helper } = open(t, { environment: { HOME: '/nonexistent' } })
  await assert.rejects(keychain.get(KEY), { code: 'KEYCHAIN_UNAVAILABLE', message: /no session bus/ })
  const gone = open(t, { environment: { DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent/bus' } })
  await assert.rejects(gone.keychain.get(KEY), { code: 'KEYCHAIN_UNAVAILABLE', message: /cannot be reached/ })
  assert.equal(await stateOf(gone.keychain), 'unavailable')
  assert.equal(helper.pid() ?? gone.helper.pid(), undefined)
})

/** Answers in turn, and goes on with the last. */
function says(...answers: [State, ...State[]]): LockProbe {
  const [first, ...others] = answers
  let next: State = first
  return {
    async ask() {
      const answer = next
      next = others.shift() ?? next
      return answer
    },
    claim: async () => undefined,
    close: () => undefined,
  }
}

type State = 'locked' | 'unlocked'
type Options = { service?: string; timeoutMs?: number; environment?: NodeJS.ProcessEnv; probe?: LockProbe }

/** A keychain under a service name that no other test uses. */
function open(t: TestContext, options: Options = {}) {
  services += 1
  const { service = `regcredd-test-${services}`, timeoutMs = 30_000, environment = keyring.env } = options
  const helper = createHelperProcess({ timeoutMs, environment })
  const keychain = createOsKeychain({
    service,
    timeoutMs,
    helper,
    probe: options.probe ?? createLockProbe(environment),
  })
  t.after(() => keychain.close())
  return { keychain, helper, service }
}
