import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type Canary, canaryOf } from '../helpers/canary.ts'
import { type Daemon, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { type Keyring, skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { findLeaks, type Place, placesInFolder, sampleProcesses } from '../helpers/leak-search.ts'
import {
  playLogins,
  playMalformed,
  playPulls,
  playQuestions,
  playRotations,
  type Stage,
  setStage,
} from './canary-scenario.ts'
import { type Recorded, record } from './recorded.ts'

const KINDS = [
  ...['daemon log', 'audit file', 'file', 'argv', 'environ', 'CLI output'],
  ...['REST body', 'proxy body', '/metrics body'],
]

type Found = { places: Place[]; canaries: Canary[]; daemon: Daemon; commands: string[] }

/** Plays everything against one daemon and gives all that it and its command line have said and written. */
async function play(
  stage: Stage,
  options: { config: Record<string, unknown>; env?: NodeJS.ProcessEnv; faults: (recorded: Recorded) => Promise<void> },
): Promise<Found> {
  const temp = await mkdtemp(join(tmpdir(), 'regcredd-temp-'))
  const sampler = sampleProcesses()
  const daemon = await startDaemon({
    registries: stage.registries,
    config: { log: { level: 'debug' }, ...options.config },
    env: { ...options.env, TMPDIR: temp, DYE: stage.dye },
  })
  try {
    const recorded = record(daemon)
    await playLogins(stage, recorded)
    await playMalformed(stage, recorded)
    await playRotations(stage, recorded)
    await playPulls(stage, recorded)
    await playQuestions(stage, recorded)
    await daemon.kill()
    await daemon.start()
    await playPulls(stage, recorded)
    await options.faults(recorded)
    await playQuestions(stage, recorded, '--json')
    process.kill(daemon.pid, 'SIGHUP')
    await daemon.stop()
    const places = [
      { kind: 'daemon log', name: 'stdout and stderr', content: daemon.log() },
      ...recorded.places(),
      ...sampler.places(),
      ...placesInFolder('file', temp),
      ...placesInFolder('file', daemon.folder).map((place) =>
        place.name.includes('/log/audit.jsonl') ? { ...place, kind: 'audit file' } : place,
      ),
    ]
    const key = await readFile(join(daemon.folder, 'keychain.key'), 'utf8')
    const canaries = [
      ...Object.values(stage.secrets),
      ...stage.issued(),
      canaryOf('the caller token', daemon.callerToken),
      canaryOf('the key of the keychain', key.trim()),
    ]
    return { places, canaries, daemon, commands: sampler.commands() }
  } finally {
    sampler.stop()
    await daemon.close()
    await rm(temp, { recursive: true })
  }
}

/** A secret may stand in its own file, and nowhere else; the dye shows that every kind of place was searched. */
function assertNoLeak({ places, canaries, daemon }: Found, stage: Stage): void {
  assert.deepEqual(findLeaks(places, canaries), [
    `file: ${daemon.folder}/keychain.key: the key of the keychain (whole, raw)`,
    `file: ${daemon.folder}/state/caller-token: the caller token (whole, raw)`,
  ])
  const dyed = new Set(findLeaks(places, [canaryOf('dye', stage.dye)]).map((leak) => leak.split(':')[0]))
  assert.deepEqual(
    KINDS.filter((kind) => !dyed.has(kind)),
    [],
  )
  assert.ok(canaries.filter(({ name }) => name === 'a token of the registry').length > 3)
}

/** What the daemon and the command line say while the keyring is locked, dead, and back. */
async function breakKeyring(stage: Stage, keyring: Keyring, { cli, pull }: Recorded): Promise<void> {
  const login = () =>
    cli(['login', stage.host, '--username', 'ci', '--password-stdin'], { stdin: stage.secrets.third.value })
  const isServed = async () => (await pull(`/v2/team/${stage.dye}/manifests/1?ns=${stage.host}`)).status === 200
  await keyring.lock()
  assert.deepEqual([(await login()).code, await isServed()], [1, true])
  await cli(['status'])
  await keyring.kill()
  assert.deepEqual([(await login()).code, await isServed()], [1, true])
  await keyring.start()
  assert.equal((await login()).code, 0)
}

describe('no secret is found anywhere but in its own place', () => {
  test('with the keychain in a file, and Secrets in a cluster', { skip: skipWithoutKubernetes() }, async (t) => {
    const stage = await setStage()
    t.after(() => stage.close())
    const api = await startKubeApiserver()
    t.after(() => api.close())
    await api.kubectl(['create', 'namespace', 'team-a'])
    const kubernetes = {
      kubeconfig: await api.kubeconfig('admin'),
      mirrors: [{ registries: [stage.host], namespaces: ['team-a', 'missing'] }],
    }
    const found = await play(stage, {
      config: { kubernetes },
      faults: async () => {
        await eventually('the Secret holds the password, as it must', async () => {
          const { data } = JSON.parse(await api.kubectl(['get', 'secret', 'regcred', '-n', 'team-a', '-o', 'json']))
          const content = data['.dockerconfigjson']
          return findLeaks([{ kind: 'Secret', name: 'regcred', content }], [stage.secrets.third]).length === 1
        })
        await api.stop()
      },
    })
    found.canaries.push(canaryOf('the token of the kubeconfig', api.tokens.admin))
    assertNoLeak(found, stage)
  })

  const skip = skipWithoutKeyring()
  test('with the keychain in a real keyring that is locked, killed and started again', { skip }, async (t) => {
    const stage = await setStage()
    t.after(() => stage.close())
    const keyring = await startKeyring()
    t.after(() => keyring.close())
    const found = await play(stage, {
      config: { keychain: { store: 'os', timeoutMs: 10_000 } },
      env: keyring.env,
      faults: (recorded) => breakKeyring(stage, keyring, recorded),
    })
    assert.ok(
      found.commands.some((command) => command.endsWith('os-helper.ts')),
      'the process that speaks to the keyring was looked at',
    )
    assertNoLeak(found, stage)
  })
})
