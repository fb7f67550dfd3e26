// From the start of the daemon to /readyz with a hundred credentials in a real keyring, against one with one.
//   node bench/keychain-start.ts        measures it alone, from the sources
import { createOsKeychain } from '../src/keychain/os.ts'
import { createHelperProcess } from '../src/keychain/os-process.ts'
import { createLockProbe } from '../src/keychain/secret-service.ts'
import { startDaemon } from '../test/helpers/daemon.ts'
import { eventually } from '../test/helpers/eventually.ts'
import { skipWithoutKeyring, startKeyring } from '../test/helpers/keyring.ts'
import { sample } from '../test/keychain/sample.ts'
import { asInstalled, startedAs } from './as-installed.ts'
import { interleave, type Measure } from './measure.ts'
import { median } from './stats.ts'

const COUNTS = { hundred: 100, one: 1 }

/** The row of the table. */
export const keychainStartRow = {
  name: 'start-100-credentials',
  what: 'start-up, 100 in a keyring',
  unit: 'ms',
  aim: 2,
  better: 'lower',
  ours: 'keyring start, hundred',
  peer: ['keyring start, one', 'with 1'],
} as const

export type KeychainRig = { measures: Measure[]; [Symbol.asyncDispose](): Promise<void> }

/** A real keyring that holds both sets of credentials; `undefined` where none can be had. `main` is the program, where it is not the sources. */
export async function startKeychainRig(main?: string): Promise<KeychainRig | undefined> {
  if (skipWithoutKeyring() !== false) return undefined
  const keyring = await startKeyring()
  for (const [service, count] of Object.entries(COUNTS)) {
    const helper = createHelperProcess({ timeoutMs: 10_000, environment: keyring.env })
    const keychain = createOsKeychain({ service, timeoutMs: 10_000, helper, probe: createLockProbe(keyring.env) })
    for (let index = 0; index < count; index += 1) {
      const key = `r${index}.example`
      await keychain.update(key, () => sample(key))
    }
    await keychain.close()
  }
  const installed = startedAs(asInstalled())
  const measures = Object.keys(COUNTS).map((service) => ({
    label: `start-up on a keyring, ${service}`,
    sample: async () => {
      const startedMs = performance.now()
      const daemon = await startDaemon({
        registries: [{ host: 'r0.example' }],
        config: { keychain: { store: 'os', service, timeoutMs: 10_000 } },
        wrap: installed.wrap,
        env: { ...keyring.env, ...installed.env },
        ...(main === undefined ? {} : { main }),
      })
      await eventually('it is ready', async () => (await fetch(`${daemon.health}/readyz`)).ok, 60_000)
      const milliseconds = performance.now() - startedMs
      await daemon.close()
      return { [`keyring start, ${service}`]: milliseconds }
    },
  }))
  return { measures, [Symbol.asyncDispose]: () => keyring.close() }
}

if (import.meta.main) {
  await using rig = await startKeychainRig()
  if (rig === undefined) throw new Error('there is no keyring here: node test/setup.mjs test')
  const values = await interleave(rig.measures, 5, () => undefined)
  const [hundred, one] = ['hundred', 'one'].map((service) => median(values.get(`keyring start, ${service}`) ?? []))
  process.stdout.write(`100 credentials: ${hundred?.toFixed(0)} ms, 1 credential: ${one?.toFixed(0)} ms\n`)
}
