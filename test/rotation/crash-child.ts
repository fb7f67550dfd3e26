// A process that is meant to die: `crash-child.ts <folder> run <n>` kills itself with SIGKILL at the n-th point that it passes (0: never);
// `crash-child.ts <folder> resume 0` takes up what is left and prints what it found and how it ended.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { versionOf } from '../../src/keychain/credential.ts'
import { openFileKeychain } from '../../src/keychain/file.ts'
import type { Keychain } from '../../src/keychain/keychain.ts'
import { createRotations } from '../../src/rotation/machine.ts'
import { Secret } from '../../src/secret.ts'
import { admin, ended, KEY, login, newPassword } from './kit.ts'

const [folder = '', mode = '', at = ''] = process.argv.slice(2)
const file = (name: string) => join(folder, name)
const registryPassword = () => readFileSync(file('registry'), 'utf8')
let passed = 0

function pass(point: string): void {
  passed += 1
  if (mode === 'run') appendFileSync(file('points'), `${point}\n`)
  if (passed !== Number(at)) return
  process.kill(process.pid, 'SIGKILL')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

async function around<T>(what: string, work: () => Promise<T>): Promise<T> {
  pass(`before ${what}`)
  const result = await work()
  pass(`after ${what}`)
  return result
}

const inner = await openFileKeychain(file('keychain.json'), new Secret(Buffer.alloc(32, 7).toString('base64')))
const keychain: Keychain = {
  ...inner,
  update: (key, change) =>
    around('a write to the keychain', async () => {
      const stored = await inner.update(key, change)
      writeFileSync(file('seq'), String(stored?.seq))
      return stored
    }),
}

let asked = 0
const rotations = createRotations({
  keychain,
  verify: (_key, tried) =>
    around('asking the registry', async () => {
      asked += 1
      // Somebody changes the registry's password once the new one is staged: what is staged must then be there.
      if (tried.secret.reveal() === 'new' && asked > 2) writeFileSync(file('registry'), 'new')
      return tried.secret.reveal() === registryPassword()
        ? { outcome: 'accepted' }
        : { outcome: 'rejected', detail: '401' }
    }),
  mirror: (key) =>
    around('mirroring', async () => {
      const stored = await inner.get(key)
      writeFileSync(file('mirrored'), (stored && versionOf(stored, 'current')?.secret.reveal()) ?? '')
      return []
    }),
  onAct: (act) => pass(`${act.action} ${act.phase}`),
  onFault: (fault) => {
    throw fault
  },
  isListed: () => true,
  now: () => new Date(),
  sleep: () => setImmediate(),
  random: () => 0.5,
})

if (mode === 'run') {
  writeFileSync(file('registry'), 'old')
  await rotations.replaceCredential(KEY, login('old'), 'required', admin)
  const { id } = await rotations.start(KEY, newPassword('new'))
  await ended(rotations, id)
  await rotations.close()
} else {
  const found = await inner.get(KEY)
  const works = found?.versions.some((version) => version.secret.reveal() === registryPassword())
  await rotations.resume()
  const [newest] = await rotations.list(KEY)
  const rotation = newest && (await ended(rotations, newest.id))
  await rotations.close()
  const stored = await inner.get(KEY)
  const report = {
    found: found?.seq,
    works,
    state: rotation?.state,
    seq: stored?.seq,
    current: stored && versionOf(stored, 'current')?.secret.reveal(),
    registry: registryPassword(),
    mirrored: existsSync(file('mirrored')) ? readFileSync(file('mirrored'), 'utf8') : undefined,
  }
  process.stdout.write(JSON.stringify(report))
}
