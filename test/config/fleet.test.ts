import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveConfig } from '../../src/config/load.ts'

const resolve = (kubernetes: object) =>
  resolveConfig(
    {
      registries: [{ host: 'registry.corp.example' }],
      keychain: { store: 'memory' },
      kubernetes: { kubeconfig: '/k', ...kubernetes },
    },
    () => '',
  )

function problemsOf(kubernetes: object): string[] {
  const outcome = resolve(kubernetes)
  return 'problems' in outcome ? outcome.problems.map(({ path, message }) => `${path}: ${message}`) : []
}

test('a fleet has its defaults, and needs no mirror', () => {
  const outcome = resolve({ fleet: {} })
  assert.ok('config' in outcome)
  assert.deepEqual(outcome.config.kubernetes?.fleet, {
    namespace: 'regcredd-system',
    nodeLabels: {},
    leaseSeconds: 15,
    heartbeatSeconds: 60,
  })
  assert.match(problemsOf({}).join(), /kubernetes.mirrors: names nothing to mirror/)
  assert.match(problemsOf({ mirrors: [] }).join(), /kubernetes.mirrors: names nothing to mirror/)
})

test('registries of a fleet are canonical, listed, and named once', () => {
  const outcome = resolve({ fleet: { registries: [{ host: 'Registry.Corp.Example:443' }] } })
  assert.ok('config' in outcome)
  assert.deepEqual(outcome.config.kubernetes?.fleet?.registries, [{ host: 'registry.corp.example' }])
  const twice = {
    registries: [{ host: 'registry.corp.example' }, { host: 'registry.corp.example' }, { host: 'other.example' }],
  }
  assert.deepEqual(problemsOf({ fleet: twice }), [
    'kubernetes.fleet.registries[1].host: names registry.corp.example for the second time',
    'kubernetes.fleet.registries[2].host: other.example is not listed in registries',
  ])
})

test('labels and selectors of nodes are checked as Kubernetes does', () => {
  const nodeSelector = {
    matchLabels: { 'no label': 'x' },
    matchExpressions: [
      { key: 'pool', operator: 'In', values: [] },
      { key: 'pool', operator: 'Exists', values: ['x'] },
    ],
  }
  const found = problemsOf({
    fleet: { nodeLabels: { pool: 'no value' }, registries: [{ host: 'registry.corp.example', nodeSelector }] },
  })
  const at = 'kubernetes.fleet.registries[0].nodeSelector'
  assert.deepEqual(found, [
    'kubernetes.fleet.nodeLabels: holds what is no label',
    `${at}.matchExpressions[0].values: must not be empty with In`,
    `${at}.matchExpressions[1].values: must be empty with Exists`,
    `${at}.matchLabels: holds what is no label`,
  ])
})
