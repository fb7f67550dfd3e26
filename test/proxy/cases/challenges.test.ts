import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeCa, makeServerCertificate } from '../../helpers/tls.ts'
import { startTokenServer } from '../../helpers/token-server.ts'
import { skipWithout } from '../../helpers/tools.ts'
import { basic, codeOf, MANIFEST, NAME, start } from './kit.ts'

/** A registry whose challenge a test writes; with the right Bearer token (`token-N`) or Basic it serves. */
async function challengedBy(
  t: TestContext,
  challenge: (realm: string, origin: string) => string | string[],
  more: Parameters<typeof start>[2] = {},
) {
  const server = await startTokenServer()
  t.after(() => server.close())
  const rig = await start(t, { auth: 'none' }, { realms: [server.origin.origin], ...more })
  rig.proxy.setCredential(NAME, { current: 'right' })
  rig.registry.script = (request, response) => {
    if (/^Bearer token-\d+$/.test(request.headers.authorization ?? '')) return false
    return unauthorized(response, challenge(server.realm, rig.registry.origin.origin))
  }
  return { ...rig, server }
}

function unauthorized(response: ServerResponse, challenge: string | string[]): true {
  response.writeHead(401, { 'www-authenticate': challenge, 'content-length': 0 }).end()
  return true
}

const authorizations = (requests: { headers: IncomingMessage['headers'] }[]) =>
  requests.map(({ headers }) => headers.authorization)

const challenges: [name: string, challenge: (realm: string) => string | string[]][] = [
  [
    'case 21: BASIC, then Bearer, in one line',
    (realm) => `BASIC realm="x, Bearer y", Bearer realm="${realm}",service="s"`,
  ],
  ['case 21: BASIC and Bearer in two lines', (realm) => ['BASIC realm="x"', `Bearer realm="${realm}",service="s"`]],
  ['case 21: schemes and names in any case', (realm) => `bEARER Realm="${realm}", SERVICE=s`],
]
for (const [name, challenge] of challenges) {
  test(`${name}: the token server is asked, and the password goes to nobody else`, async (t) => {
    const { registry, proxy, server } = await challengedBy(t, challenge)
    assert.equal((await proxy.get(MANIFEST)).status, 200)
    assert.deepEqual(authorizations(server.requests), [basic('ci', 'right')])
    assert.deepEqual(authorizations(registry.requests), [undefined, 'Bearer token-1'])
  })
}

test('case 22: a scope with a comma in quotes is one parameter, and what is asked for is ours alone', async (t) => {
  const { proxy, server } = await challengedBy(
    t,
    (realm) => `Bearer realm="${realm}",scope="repository:a:pull,push",service="s"`,
  )
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  assert.deepEqual(server.requests[0]?.url.searchParams.getAll('scope'), ['repository:team/app:pull'])
  assert.deepEqual(server.requests[0]?.url.searchParams.getAll('service'), ['s'])
})

test('case 23: a registry with TLS that names a realm without is refused, and nothing is sent there', {
  skip: skipWithout('openssl'),
}, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-case-23-'))
  t.after(() => rm(dir, { recursive: true }))
  const ca = await makeCa(dir)
  const { certFile, keyFile } = await makeServerCertificate(ca, dir, ['127.0.0.1'])
  const server = await startTokenServer()
  t.after(() => server.close())
  const tls = { cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') }
  const { registry, proxy } = await start(
    t,
    { auth: 'bearer', tls, realmOrigin: server.origin.origin },
    { ca: ca.cert, realms: [server.origin.origin] },
  )
  const got = await proxy.get(MANIFEST)
  assert.deepEqual([got.status, codeOf(got.body)], [502, 'REALM_REFUSED'])
  assert.equal(registry.requests.length, 1)
  assert.equal(server.requests.length, 0)
})

const hostile: [name: string, realm: (port: number) => string, code: string, realms: (port: number) => string[]][] = [
  ['on an attacker’s host', (port) => `http://localhost:${port}/token`, 'REALM_REFUSED', () => []],
  ['on another port', (port) => `http://127.0.0.1:${port}/token`, 'REALM_REFUSED', () => []],
  ['written as a number', (port) => `http://2130706433:${port}/token`, 'REALM_REFUSED', () => []],
  [
    'with a user',
    (port) => `http://127.0.0.1@localhost:${port}/token`,
    'REALM_REFUSED',
    (port) => [`http://localhost:${port}`],
  ],
  // No name here leads to 169.254.169.254; localhost leads to another address that must not be reached.
  [
    'that is listed and whose name leads to a private address',
    (port) => `http://localhost:${port}/token`,
    'ADDRESS_REFUSED',
    (port) => [`http://localhost:${port}`],
  ],
]
for (const [name, realm, code, realms] of hostile) {
  test(`case 24: a realm ${name} is refused as ${code}, and nothing is sent`, async (t) => {
    const attacker = await startTokenServer()
    t.after(() => attacker.close())
    const port = Number(attacker.origin.port)
    const { proxy } = await challengedBy(t, () => `Bearer realm="${realm(port)}",service="s"`, {
      realms: realms(port),
      allowAddresses: [],
    })
    const got = await proxy.get(MANIFEST)
    assert.deepEqual([got.status, codeOf(got.body)], [502, code])
    assert.equal(attacker.requests.length, 0)
  })
}

test('case 25: a redirect of the realm fails the pull, and its target sees nothing', async (t) => {
  const target = await startTokenServer()
  t.after(() => target.close())
  const { proxy, server } = await challengedBy(t, (realm) => `Bearer realm="${realm}",service="s"`)
  server.answer = (_request, response) => response.writeHead(302, { location: target.realm }).end()
  const got = await proxy.get(MANIFEST)
  assert.deepEqual([got.status, codeOf(got.body)], [502, 'TOKEN_SERVER_FAILED'])
  assert.equal(target.requests.length, 0)
})

test('case 26: the query of a realm stays, and our service stands in it once', async (t) => {
  const { proxy, server } = await challengedBy(t, (realm) => `Bearer realm="${realm}?x=1&service=z",service="s"`)
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  const { searchParams } = server.requests[0]?.url ?? assert.fail()
  assert.deepEqual([searchParams.getAll('x'), searchParams.getAll('service')], [['1'], ['s']])
})

test('case 32: a registry that says 401 for ever gets one token request, and the caller a 403 without a challenge', async (t) => {
  const { registry, proxy, server } = await challengedBy(t, (realm) => `Bearer realm="${realm}",service="s"`)
  registry.script = (_request, response) =>
    unauthorized(response, `Bearer realm="${server.realm}",error="insufficient_scope"`)
  const got = await proxy.get(MANIFEST)
  assert.deepEqual([got.status, codeOf(got.body)], [403, 'REPOSITORY_REFUSED'])
  assert.equal(got.headers['www-authenticate'], undefined)
  assert.deepEqual([server.requests.length, registry.requests.length], [1, 2])
})

for (const [name, status] of [
  ['ECR says 403', 403],
  ['ECR Public says 400', 400],
  ['Harbor says 401 with a Basic challenge', 401],
] as const) {
  test(`case 33: ${name} to a token that has ended: one new token, and the pull is served`, async (t) => {
    const { registry, proxy, server } = await challengedBy(t, (realm) => `Bearer realm="${realm}",service="s"`)
    assert.equal((await proxy.get(MANIFEST)).status, 200)
    const usual = registry.script
    registry.script = (request, response) => {
      const isEnded = request.headers.authorization === 'Bearer token-1'
      if (!isEnded) return usual?.(request, response) ?? false
      if (status === 401) return unauthorized(response, 'Basic realm="harbor"')
      response.writeHead(status, { 'content-type': 'text/plain', 'content-length': 0 }).end()
      return true
    }
    registry.requests.length = 0
    assert.equal((await proxy.get(MANIFEST)).status, 200)
    assert.deepEqual(authorizations(registry.requests), ['Bearer token-1', undefined, 'Bearer token-2'])
    assert.equal(server.requests.length, 2)
  })
}

test('Quay and GHCR: a Basic that is met with a Bearer challenge is no refusal of the password', async (t) => {
  const { registry, proxy, server } = await challengedBy(t, () => 'Basic realm="before"')
  assert.equal((await proxy.get(MANIFEST)).status, 403)
  proxy.setCredential(NAME, { current: 'right' })
  registry.script = (request, response) =>
    /^Bearer token-\d+$/.test(request.headers.authorization ?? '')
      ? false
      : unauthorized(response, `Bearer realm="${server.realm}",service="s"`)
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  assert.deepEqual(proxy.breaker.held(), [])
})

test('a 401 without a challenge makes us ask /v2/ once for it', async (t) => {
  const { registry, proxy, server } = await challengedBy(t, (realm) => `Bearer realm="${realm}",service="s"`)
  const usual = registry.script
  registry.script = (request, response) => {
    if (request.url === '/v2/' || request.headers.authorization !== undefined)
      return usual?.(request, response) ?? false
    response.writeHead(401, { 'content-length': 0 }).end()
    return true
  }
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  assert.deepEqual(registry.pulls(), ['GET /v2/team/app/manifests/1', 'GET /v2/', 'GET /v2/team/app/manifests/1'])
  assert.equal(server.requests.length, 1)
})

test('zot: a challenge on a 200 asks for nothing', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'none' })
  registry.script = (_request, response) => {
    response.setHeader('www-authenticate', 'Basic realm="zot"')
    return false
  }
  proxy.setCredential(NAME, { current: 'right' })
  const got = await proxy.get(MANIFEST)
  assert.deepEqual([got.status, got.headers['www-authenticate']], [200, undefined])
  assert.deepEqual(authorizations(registry.requests), [undefined])
})

test('a realm that a loopback registry names on its own origin is asked, and no address needs a permission for it', async (t) => {
  const { proxy } = await start(t, { auth: 'bearer' }, { allowAddresses: [] })
  assert.equal((await proxy.get(MANIFEST)).status, 200)
})
