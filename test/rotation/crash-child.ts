// A process that is meant to die: `crash-child.ts <folder> <scenario> run <at>` kills itself with SIGKILL at that point (`after commit#2`: the second time; `never`);
// `… resume <at>` first writes down what it found, then takes up what is left. Who is not killed prints what became of it.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { type Credential, versionOf } from '../../src/keychain/credential.ts'
import { openFileKeychain } from '../../src/keychain/file.ts'
import { createJournal } from '../../src/rotation/journal.ts'
import { createRotations } from '../../src/rotation/machine.ts'
import type { RotationParts } from '../../src/rotation/parts.ts'
import { Secret } from '../../src/secret.ts'
import { type Account, scenarios } from './crash-scenarios.ts'
import { KEY, usualPolicy } from './kit.ts'

const [folder = '', name = '', mode = '', at = ''] = process.argv.slice(2)
const file = (of: string) => join(folder, of)
const scenario = scenarios[name]
if (scenario === undefined) throw new Error(`no scenario ${name}`)
const passed = new Map<string, number>()
let open = 0

function pass(when: 'before' | 'after', point: string): void {
  open += when === 'before' ? 1 : -1
  const name = `${when} ${point}`
  const times = (passed.get(name) ?? 0) + 1
  passed.set(name, times)
  appendFileSync(file('points'), `${name}#${times}\n`)
  if (at !== `${name}#${times}`) return
  process.kill(process.pid, 'SIGKILL')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

/** A call outside that nobody has marked could not be killed at. */
function outside(what: string): void {
  if (open === 0) throw new Error(`${what} is called and no point is marked`)
}

const account: Account = {
  read: () => JSON.parse(readFileSync(file('registry'), 'utf8')),
  accepts: (...passwords) => writeFileSync(file('registry'), JSON.stringify(passwords)),
}
const inner = await openFileKeychain(file('keychain.json'), new Secret(Buffer.alloc(32, 7).toString('base64')))

function noteSeq(stored: Credential | undefined): void {
  writeFileSync(file('seq'), String(stored?.seq ?? 0))
}

let elapsedMs = 0
let asked = 0
const skip = async (durationMs: number, signal: AbortSignal) => {
  elapsedMs += durationMs
  await setImmediate()
  signal.throwIfAborted()
}
const parts: RotationParts = {
  keychain: {
    keys: () => inner.keys(),
    get: (key) => inner.get(key),
    update: async (key, change) => {
      outside('the keychain')
      const stored = await inner.update(key, change)
      if (stored !== undefined) noteSeq(stored)
      return stored
    },
  },
  journal: createJournal({
    path: file('journal'),
    now: () => new Date(),
    pass,
    onFault: (fault) => writeFileSync(file('journal-fault'), JSON.stringify(fault)),
    maxBytes: scenario.journalBytes ?? 64 * 1024,
  }),
  verify: async (_key, tried) => {
    outside('the registry')
    asked += 1
    scenario.onAsked?.(account, asked)
    const isGood = account.read().includes(tried.secret.reveal())
    return isGood ? { outcome: 'accepted' } : { outcome: 'rejected', detail: '401' }
  },
  runHook: async (_hook, input) => {
    outside('the hook')
    if (scenario.hook === undefined) throw new Error('no hook here')
    return scenario.hook(account, input)
  },
  mirror: async (key) => {
    outside('the mirror')
    const stored = await inner.get(key)
    writeFileSync(file('mirrored'), (stored && versionOf(stored, 'current')?.secret.reveal()) ?? '')
    return []
  },
  onAct: () => outside('the audit'),
  onFault: (fault) => {
    appendFileSync(file('faults'), `${fault}\n`)
  },
  onNote: () => undefined,
  isListed: () => true,
  policyOf: () => ({
    ...usualPolicy,
    hook: scenario.hook === undefined ? undefined : { command: ['/hook'], timeoutMs: 1_000 },
  }),
  pass,
  now: () => new Date(Date.now() + elapsedMs),
  monotonicMs: () => performance.now() + elapsedMs,
  sleep: skip,
  rest: (durationMs, signal) =>
    scenario.isGraceLong ? setTimeout(60_000, undefined, { signal, ref: false }) : skip(durationMs, signal),
  random: () => 0.5,
}
const rotations = createRotations(parts)

/** A day passes in no time here, so that every rotation comes to its very end. */
async function settled(): Promise<void> {
  const giveUpAtMs = performance.now() + 30_000
  while (performance.now() < giveUpAtMs) {
    const stored = await inner.get(KEY)
    const busy = scenario?.isGraceLong ? ['STAGED'] : ['STAGED', 'COMMITTED']
    if (stored?.rotations.every(({ state }) => !busy.includes(state)) ?? true) return
    await setTimeout(2)
  }
  throw new Error('the rotation does not come to an end')
}

async function look() {
  const found = await inner.get(KEY)
  const accepted = account.read()
  return {
    seq: found?.seq,
    works: found?.versions.some(({ secret }) => accepted.includes(secret.reveal())),
    active: found?.rotations.filter(({ state }) => state === 'STAGED' || state === 'STUCK').length ?? 0,
    states: found?.rotations.map(({ state }) => state) ?? [],
    current: found && versionOf(found, 'current')?.secret.reveal(),
    accepted,
  }
}

if (mode === 'run') {
  account.accepts('old')
  await scenario.run({ rotations, account, settled })
} else {
  writeFileSync(file('found'), JSON.stringify(await look()))
  await rotations.resume()
  await settled()
}
await rotations.close()
process.stdout.write(JSON.stringify(await look()))
