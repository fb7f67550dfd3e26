import assert from 'node:assert/strict'
import { test } from 'node:test'
import { config, problems, withRegistry } from './resolving.ts'

const tls = { listen: '10.0.0.7:5443', certFile: '/ca.pem', keyFile: '/key', hosts: ['node-1.corp.example'] }
const withTls = (changes: object) => ({ ...withRegistry({}), admin: { tls: { ...tls, ...changes } } })

test('the TLS listener may have any address, and its hosts are held in one spelling', () => {
  const { admin } = config(withTls({ hosts: ['Node-1.Corp.Example', '10.0.0.7', '[FD00::1]'] }))
  assert.deepEqual(admin.tls, {
    listen: { host: '10.0.0.7', port: 5443 },
    certFile: '/ca.pem',
    keyFile: '/key',
    hosts: ['node-1.corp.example', '10.0.0.7', 'fd00::1'],
  })
  assert.equal(admin.tokensFile, '/var/lib/regcredd/admin-tokens.json')
})

test('everything that is wrong with the TLS listener is told', () => {
  assert.deepEqual(
    problems(
      withTls({ listen: 'node-1:5443', certFile: '/none.pem', keyFile: 'key', hosts: ['a:5443', 'https://a', ''] }),
    ),
    [
      'admin.tls.certFile: cannot be read: ENOENT (there is no such file)',
      'admin.tls.hosts[0]: must be a name or an address, without a port (such as node-1.corp.example)',
      'admin.tls.hosts[1]: must be a name or an address, without a port (such as node-1.corp.example)',
      'admin.tls.hosts[2]: must be a name or an address, without a port (such as node-1.corp.example)',
      'admin.tls.keyFile: must be an absolute path',
      'admin.tls.listen: must be an address and a port (such as 10.0.0.7:5443)',
    ],
  )
  assert.deepEqual(problems(withTls({ listen: '127.0.0.1:5050' })), [
    'admin.tls.listen: is the same as that of another listener',
  ])
  assert.deepEqual(problems(withTls({ hosts: [] })), ['admin.tls.hosts: must not be empty'])
})

const auth = { audience: 'regcredd' }
const withAuth = (changes: object, more: object = {}) => ({
  ...withRegistry({}),
  admin: { tls, kubernetesAuth: { ...auth, ...changes } },
  kubernetes: { kubeconfig: '/ca.pem' },
  ...more,
})

test('callers by tokens of the cluster need nothing to mirror, and have a limit of time', () => {
  assert.deepEqual(config(withAuth({})).admin.kubernetesAuth, { audience: 'regcredd', timeoutMs: 3_000 })
})

test('callers by tokens of the cluster need the TLS listener, a cluster, and an audience of their own', () => {
  assert.deepEqual(problems(withAuth({}, { admin: { kubernetesAuth: auth } })), [
    'admin.kubernetesAuth: needs admin.tls (tokens are shown there; the socket asks for none)',
  ])
  assert.deepEqual(problems(withAuth({}, { kubernetes: undefined })), [
    'admin.kubernetesAuth: needs kubernetes.kubeconfig (which cluster is asked)',
  ])
  for (const audience of ['https://kubernetes.default.svc.cluster.local', 'kubernetes.default.svc', 'kubernetes']) {
    assert.deepEqual(problems(withAuth({ audience })), [
      "admin.kubernetesAuth.audience: is the API server's own, which every pod has a token for (take another, such as regcredd)",
    ])
  }
  assert.deepEqual(problems(withAuth({ audience: '' })), [
    'admin.kubernetesAuth.audience: must be 1 to 253 printable ASCII characters',
  ])
  assert.deepEqual(problems({ ...withAuth({}), admin: { tls, kubernetesAuth: {} } }), [
    'admin.kubernetesAuth.audience: is missing',
  ])
})
