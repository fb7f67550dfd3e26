import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Daemon, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { digestOf, type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/proxy.ts'

const NAME = 'registry.corp.example'
const MANIFEST = `/v2/team/app/manifests/1?ns=${NAME}`

describe('the main job, in one daemon', () => {
  let registry: FakeRegistry
  let daemon: Daemon
  let digest: string
  before(async () => {
    registry = await startFakeRegistry({ auth: 'bearer', password: 'first-password' })
    digest = registry.addManifest('team/app', '1', { schemaVersion: 2 })
    daemon = await startDaemon({
      registries: [{ host: NAME, upstream: registry.origin.origin, credential: 'required' }],
    })
  })
  after(async () => {
    await daemon?.close()
    await registry?.close()
  })
  const pull = () => ask(daemon.port(), MANIFEST, { headers: { 'regcredd-token': daemon.callerToken } })

  test('a wrong password is refused at login and nothing is stored; the right one is stored, and pulls are served', async () => {
    assert.equal((await pull()).status, 503)
    const login = (password: string) =>
      daemon.cli(['login', NAME, '--username', 'ci', '--password-stdin'], { stdin: password })
    const wrong = await login('wrong')
    assert.deepEqual([wrong.code, /CREDENTIAL_REFUSED/.test(wrong.stderr)], [1, true], wrong.stderr)
    assert.equal((await pull()).status, 503)
    const right = await login('first-password\n')
    assert.equal(right.code, 0, right.stderr)
    const pulled = await pull()
    assert.deepEqual([pulled.status, digestOf(pulled.body)], [200, digest])
  })

  test('a rotation that is staged before the registry knows the password commits when it does, and no pull fails', async () => {
    const statuses: number[] = []
    let pulling = true
    const load = (async () => {
      while (pulling && statuses.length < 100_000) statuses.push((await pull()).status)
    })()
    const started = await daemon.rest('POST', `/v1/registries/${NAME}/rotations`, {
      password: 'second-password',
      deadlineSeconds: 60,
    })
    assert.deepEqual([started.status, started.body.state], [202, 'STAGED'])
    await sleep(300)
    registry.setPassword('second-password')
    await sleep(100)
    const end = await daemon.rest('GET', started.headers.location ?? '')
    assert.equal(end.status, 200)
    await eventually(
      'the rotation commits',
      async () => (await daemon.rest('GET', started.headers.location ?? '')).body.state === 'GRACE',
      40_000,
    )
    const atCommit = statuses.length
    await eventually('it has pulled often, also since then', () => statuses.length > Math.max(50, atCommit + 10))
    pulling = false
    await load
    assert.ok(statuses.length > 50, `${statuses.length} pulls`)
    assert.deepEqual(
      statuses.filter((status) => status !== 200),
      [],
    )
  })

  test('a rotation to a password that the registry never takes is aborted, and the one in force stays', async () => {
    const { status, body } = await daemon.rest(
      'POST',
      `/v1/registries/${NAME}/rotations`,
      { password: 'never', deadlineSeconds: 0 },
      { prefer: 'wait=20' },
    )
    assert.deepEqual([status, body.state, body.code], [200, 'ABORTED', 'CREDENTIAL_REFUSED'])
    assert.equal((await pull()).status, 200)
  })

  test('after kill -9 the next start serves the same credential', async () => {
    await daemon.kill()
    await daemon.start()
    assert.equal((await pull()).status, 200)
  })

  test('the audit tells each pull with the version of the credential, and each act', async () => {
    const records = await daemon.audit()
    const end = records.findLast((record) => record.type === 'pull.end')
    assert.partialDeepStrictEqual(end, {
      registry: NAME,
      repository: 'team/app',
      reference: '1',
      digest,
      status: 200,
      credential: NAME,
      version: 'v2',
    })
    assert.deepEqual(
      records.map(({ seq }) => seq),
      records.map((_, place) => place + 1),
    )
    const acts = records.flatMap((record) =>
      record.type === 'admin.outcome' ? [`${record.action} ${record.outcome}`] : [],
    )
    assert.ok(
      acts.includes('credential.put CREDENTIAL_REFUSED') &&
        acts.includes('credential.put ok') &&
        acts.includes('rotation.commit ok'),
      acts.join(),
    )
  })

  test('status, metrics and readyz say how it is', async () => {
    const { code, stdout } = await daemon.cli(['status', '--json'])
    assert.equal(code, 0)
    assert.partialDeepStrictEqual(JSON.parse(stdout), {
      ready: true,
      registries: 1,
      keychain: { store: 'file', state: 'ready' },
    })
    assert.equal((await fetch(`${daemon.health}/readyz`)).status, 200)
    const metrics = await (await fetch(`${daemon.health}/metrics`)).text()
    assert.match(
      metrics,
      new RegExp(
        `regcredd_pull_requests_total\\{registry="${NAME}",kind="manifest",method="GET",status="200",code=""\\} [1-9]`,
      ),
    )
  })

  test('SIGUSR1 opens no inspector', async () => {
    process.kill(daemon.pid, 'SIGUSR1')
    await sleep(300)
    assert.doesNotMatch(daemon.log(), /Debugger listening/)
    const ports = (await readFile('/proc/net/tcp', 'utf8'))
      .split('\n')
      .filter((line) => line.includes(`0100007F:${(9229).toString(16).toUpperCase()} 00000000:0000 0A`))
    assert.deepEqual(ports, [])
    assert.equal((await pull()).status, 200)
  })
})
