import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type FakeAdmin, startFakeAdmin } from './fake-admin.ts'
import { type Outcome, run, start } from './regcredd.ts'

const record = (seq: number, more: object = {}) => ({
  seq,
  time: `2026-11-24T09:00:0${seq}Z`,
  node: 'n1',
  type: 'pull.end',
  registry: 'reg.example.com',
  repository: 'team/app',
  status: 200,
  code: null,
  ...more,
})

describe('status, mirror and audit', () => {
  let admin: FakeAdmin
  before(async () => {
    admin = await startFakeAdmin()
  })
  after(() => admin.close())
  beforeEach(() => {
    admin.seen = []
  })
  const regcredd = (...args: string[]): Promise<Outcome> => run(['--socket', admin.socket, ...args])

  test('status says first whether the daemon is ready, and why not, then all it knows', async () => {
    const body = {
      version: '0.1.0',
      ready: false,
      reasons: ['the keychain is locked', 'the audit folder is full'],
      keychain: { store: 'os', state: 'locked' },
      mirror: null,
      registries: 2,
    }
    admin.routes = { 'GET /v1/status': () => ({ body }) }
    const { code, stdout } = await regcredd('status')
    assert.equal(code, 0)
    assert.equal(
      stdout,
      [
        'not ready',
        '  the keychain is locked',
        '  the audit folder is full',
        '',
        'WHAT            VALUE',
        'version         0.1.0',
        'keychain.store  os',
        'keychain.state  locked',
        'mirror          -',
        'registries      2',
        '',
      ].join('\n'),
    )
    assert.deepEqual(JSON.parse((await regcredd('status', '--json')).stdout), body)
  })

  test('status shows the warnings of a daemon that is ready', async () => {
    const body = { ready: true, reasons: ['warning: 2 mirrored Secrets could not be written; see regcredd mirror'] }
    admin.routes = { 'GET /v1/status': () => ({ body }) }
    const { stdout } = await regcredd('status')
    assert.match(stdout, /^ready\n {2}warning: 2 mirrored Secrets could not be written; see regcredd mirror\n/)
  })

  test('mirror tells of the Secrets that do not hold the credential', async () => {
    const row = { host: 'reg.example.com', namespace: 'default', secretName: 'regcred', at: '2026-11-24T09:00:00Z' }
    const results = [
      { ...row, outcome: 'updated', detail: null },
      { ...row, namespace: 'team-a', outcome: 'failed', detail: 'forbidden' },
    ]
    // As the daemon says it: what failed also makes the mirror stale.
    admin.routes = {
      'GET /v1/mirror': () => ({ body: { configured: true, stale: true, results, fault: null, fleet: null } }),
    }
    const { stdout } = await regcredd('mirror')
    assert.match(stdout, /^1 of 2 Secrets do not hold the credential$/m)
    assert.match(stdout, /^reg\.example\.com +team-a +regcred +failed +2026-11-24T09:00:00Z +forbidden$/m)
    admin.routes = {
      'GET /v1/mirror': () => ({
        body: { configured: true, stale: true, results: results.slice(0, 1), fault: null, fleet: null },
      }),
    }
    assert.match((await regcredd('mirror')).stdout, /^stale: some Secret was not checked lately$/m)
    admin.routes = {
      'GET /v1/mirror': () => ({ body: { configured: false, stale: false, results: [], fault: null, fleet: null } }),
    }
    assert.equal((await regcredd('mirror')).stdout, 'no cluster is configured\n')
  })

  test('mirror says why nothing has been checked', async () => {
    const body = { configured: true, stale: true, results: [], fault: 'the kubeconfig names nobody', fleet: null }
    admin.routes = { 'GET /v1/mirror': () => ({ body }) }
    const { stdout } = await regcredd('mirror')
    assert.equal(stdout, 'stale: nothing has been checked yet\n  the kubeconfig names nobody\n')
  })

  test('mirror says on a node that does not write the Secrets which one does', async () => {
    const body = { configured: true, stale: false, results: [], fault: null }
    const answer = (leader: string | null) => ({ ...body, fleet: { node: 'node-b', leader, writes: false } })
    admin.routes = { 'GET /v1/mirror': () => ({ body: answer('node-a') }) }
    const told = 'node-b does not write the Secrets; node-a does, and regcredd mirror there shows them\n'
    assert.equal((await regcredd('mirror')).stdout, told)
    admin.routes = { 'GET /v1/mirror': () => ({ body: answer(null) }) }
    const nobody = 'node-b does not write the Secrets, and no node is known to\n'
    assert.equal((await regcredd('mirror')).stdout, nobody)
    assert.deepEqual(JSON.parse((await regcredd('mirror', '--json')).stdout), answer(null))
  })

  test('audit tail shows records as lines, and with --json as JSON lines', async () => {
    admin.routes = { 'GET /v1/audit?limit=2': () => ({ body: { records: [record(1), record(2)] } }) }
    const { stdout } = await regcredd('audit', 'tail', '-n', '2')
    assert.equal(
      stdout.split('\n')[0],
      '2026-11-24T09:00:01Z pull.end      registry=reg.example.com repository=team/app status=200',
    )
    const json = await regcredd('audit', 'tail', '-n', '2', '--json')
    assert.deepEqual(
      json.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
      [record(1), record(2)],
    )
  })

  test('what a stranger put into a record cannot act on the terminal', async () => {
    const evil = record(1, { caller: 'x\u001b]0;pwned\u0007\nforged', peer: '\u202egpj' })
    admin.routes = { 'GET /v1/audit?limit=20': () => ({ body: { records: [evil] } }) }
    const { stdout } = await regcredd('audit', 'tail')
    assert.match(stdout, /caller=x\\u001b\]0;pwned\\u0007\\u000aforged peer=\\u202egpj\n$/)
    assert.equal(stdout.trimEnd().split('\n').length, 1)
  })

  test('audit tail -f goes on after the last record, over a restart of the daemon, until it is interrupted', async () => {
    let asked = 0
    admin.routes = {
      'GET /v1/audit?limit=1': () => ({ body: { records: [record(1)] } }),
      'GET /v1/audit?limit=1000&after=1': () =>
        [{ body: { records: [] } }, { hangUp: true } as const][asked++] ?? { body: { records: [record(2)] } },
      'GET /v1/audit?limit=1000&after=2': () => ({ body: { records: [record(3)] } }),
      'GET /v1/audit?limit=1000&after=3': () => ({ body: { records: [] } }),
    }
    const child = start(['audit', 'tail', '-n', '0', '-f', '--json', '--socket', admin.socket])
    let seen = ''
    for await (const chunk of child.stdout ?? []) {
      seen += chunk
      if (seen.split('\n').length === 3) break
    }
    child.kill('SIGINT')
    const [, signal] = await once(child, 'close')
    assert.deepEqual(
      seen
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).seq),
      [2, 3],
    )
    assert.equal(signal, 'SIGINT')
  })
})
