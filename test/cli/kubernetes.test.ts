import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type FakeAdmin, problem, startFakeAdmin } from './fake-admin.ts'
import { run } from './regcredd.ts'

const right = (namespace: string | null, verb: string, name: string | null, allowed: boolean) => ({
  ...{ namespace, verb, resource: 'secrets', name, allowed },
  purpose: 'to try it',
})

describe('what the command line says of the cluster', () => {
  let admin: FakeAdmin
  before(async () => {
    admin = await startFakeAdmin()
  })
  after(() => admin.close())

  const regcredd = (...args: string[]) => run(['--socket', admin.socket, ...args])
  const answer = (body: object) => {
    admin.routes = { 'GET /v1/kubernetes/check': () => ({ body }) }
  }

  test('all rights there end with 0, in a table that lines up', async () => {
    answer({ complete: true, rights: [right(null, 'list', 'regcred', true), right('team-a', 'create', null, true)] })
    const { code, stdout } = await regcredd('kubernetes', 'check')
    assert.equal(code, 0)
    assert.deepEqual(stdout.split('\n'), [
      'all 2 rights are there',
      '',
      'NAMESPACE  VERB    ON               ALLOWED  NEEDED',
      '*          list    secrets/regcred  yes      to try it',
      'team-a     create  secrets          yes      to try it',
      '',
    ])
  })

  test('a missing right ends with 1, and --json has all', async () => {
    const body = {
      complete: false,
      rights: [right('team-a', 'get', 'regcred', true), right('team-b', 'get', 'regcred', false)],
    }
    answer(body)
    const { code, stdout } = await regcredd('kubernetes', 'check')
    assert.equal(code, 1)
    assert.match(stdout, /^1 of 2 rights are missing; kubernetes\/ has manifests/)
    assert.match(stdout, /^team-b +get +secrets\/regcred +no /m)
    const json = await regcredd('kubernetes', 'check', '--json')
    assert.deepEqual([json.code, JSON.parse(json.stdout)], [1, body])
  })

  test('of a thousand namespaces only what is missing is shown, and not all of that', async () => {
    const rights = Array.from({ length: 1_000 }, (_, n) => right(`team-${n}`, 'get', 'regcred', n >= 100))
    answer({ complete: false, rights })
    const { stdout } = await regcredd('kubernetes', 'check')
    assert.equal(stdout.trimEnd().split('\n').length, 64)
    assert.match(stdout, /^100 of 1000 rights are missing/)
    assert.match(stdout, /\nand 40 more; --json has all\n$/)
    assert.ok(!stdout.includes('team-100 '))
  })

  test('a cluster that cannot be asked ends with 1 and says why', async () => {
    admin.routes = {
      'GET /v1/kubernetes/check': () =>
        problem(502, 'KUBERNETES_FAILED', 'the Kubernetes API did not do what was asked', 'it cannot be reached'),
    }
    const { code, stderr } = await regcredd('kubernetes', 'check')
    assert.equal(code, 1)
    assert.match(stderr, /it cannot be reached/)
  })

  test('mirror tells which ServiceAccounts name the Secret, where some do', async () => {
    const one = {
      host: 'a.example',
      secretName: 'regcred',
      outcome: 'created',
      at: '2026-01-01T00:00:00Z',
      detail: null,
    }
    const results = [
      {
        ...one,
        namespace: 'team-a',
        serviceAccounts: [
          { name: 'default', outcome: 'added' },
          { name: 'ci', outcome: 'absent' },
        ],
      },
      { ...one, namespace: 'team-b', host: '-', outcome: 'orphan', detail: 'no mirror wants it any more' },
    ]
    admin.routes = {
      'GET /v1/mirror': () => ({ body: { configured: true, stale: false, results, fault: null, fleet: null } }),
    }
    const { stdout } = await regcredd('mirror')
    assert.match(stdout, /^REGISTRY +NAMESPACE +SECRET +OUTCOME +SERVICEACCOUNTS +AT +DETAIL$/m)
    assert.match(stdout, /^a\.example +team-a +regcred +created +default, ci \(absent\) +2026/m)
    assert.match(stdout, /^- +team-b +regcred +orphan +- +2026-01-01T00:00:00Z +no mirror wants it any more$/m)
  })
})
