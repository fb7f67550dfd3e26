import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseNoProxy } from '../../src/config/no-proxy.ts'
import { RegcreddError } from '../../src/errors.ts'
import { egressByEnvironment, egressBySetting } from '../../src/upstream/egress.ts'
import { readEgressLogin } from '../../src/upstream/egress-login.ts'

const REGISTRY = new URL('https://registry.corp.example')
const wayOf = (environment: NodeJS.ProcessEnv, to: URL | string = REGISTRY) =>
  egressByEnvironment(environment).egress.proxyFor(new URL(to))

test('HTTPS_PROXY is for https, HTTP_PROXY for http, in both spellings, the upper one first', () => {
  const proxy = 'http://proxy.corp.example:3128'
  for (const name of ['HTTPS_PROXY', 'https_proxy']) {
    assert.equal(wayOf({ [name]: proxy })?.url.origin, proxy)
    assert.equal(wayOf({ [name]: proxy }, 'http://192.0.2.1'), undefined)
  }
  assert.equal(wayOf({ HTTP_PROXY: proxy }), undefined)
  assert.equal(wayOf({ HTTP_PROXY: proxy }, 'http://192.0.2.1')?.url.origin, proxy)
  assert.equal(wayOf({ HTTPS_PROXY: proxy, https_proxy: 'http://other' })?.url.origin, proxy)
  assert.equal(wayOf({ HTTPS_PROXY: '' }), undefined)
  assert.equal(wayOf({ ALL_PROXY: proxy }), undefined)
})

test('a proxy may be written without scheme, with a user, and with TLS', () => {
  assert.equal(wayOf({ HTTPS_PROXY: 'proxy.corp.example:3128' })?.url.href, 'http://proxy.corp.example:3128/')
  assert.equal(wayOf({ HTTPS_PROXY: 'https://proxy.corp.example' })?.url.href, 'https://proxy.corp.example/')
  const { url, login } = wayOf({ HTTPS_PROXY: 'http://us%40er:p%3A%2Fw@proxy.corp.example:3128/' }) ?? assert.fail()
  assert.deepEqual(
    [url.href, login?.username, login?.secret.reveal()],
    ['http://proxy.corp.example:3128/', 'us@er', 'p:/w'],
  )
})

for (const text of [
  'socks5://p:1',
  'http://p/path',
  'http://p?x',
  'file:///x',
  'http://',
  'http://p:99999',
  '://',
  'http://u:%ZZplanted@p:1',
  'ftp://u:planted@p',
  'http://u:planted@p/x',
]) {
  test(`${text} in the environment is refused at the start, without a word of it`, () => {
    assert.throws(
      () => egressByEnvironment({ https_proxy: text }),
      (thrown: unknown) =>
        thrown instanceof RegcreddError &&
        thrown.code === 'CONFIG_INVALID' &&
        /HTTPS_PROXY/.test(thrown.message) &&
        !/planted|socks|path/.test(thrown.message),
    )
  })
}

test('whatever the environment says, it is a way or CONFIG_INVALID, and a user never stands in the URL that is shown', () => {
  const text = fc.oneof(
    fc.string(),
    fc.webUrl(),
    fc.tuple(fc.string(), fc.string()).map(([a, b]) => `http://${a}@${b}`),
  )
  fc.assert(
    fc.property(text, (proxy) => {
      try {
        const way = wayOf({ HTTPS_PROXY: proxy })
        if (way !== undefined) assert.deepEqual([way.url.username, way.url.password, way.url.search], ['', '', ''])
      } catch (thrown) {
        assert.equal((thrown as { code?: string }).code, 'CONFIG_INVALID')
      }
    }),
  )
})

test('NO_PROXY excepts, and this machine is never asked for through a proxy', () => {
  const environment = { HTTPS_PROXY: 'http://proxy.corp.example', NO_PROXY: '.corp.example,x y://' }
  assert.equal(wayOf(environment), undefined)
  assert.notEqual(wayOf(environment, 'https://registry.example.org'), undefined)
  assert.equal(egressByEnvironment(environment).unread, 1)
  for (const here of [
    'https://localhost',
    'https://a.localhost',
    'https://127.0.0.2',
    'https://[::1]',
    'https://2130706433',
  ])
    assert.equal(wayOf({ HTTPS_PROXY: 'http://proxy.corp.example' }, here), undefined, here)
})

test('the configuration is for http and https, and an empty one means no proxy', () => {
  const { rules: noProxy } = parseNoProxy('10.0.0.0/8')
  const proxy = new URL('http://proxy.corp.example:3128')
  const egress = egressBySetting({ proxy, noProxy, credentialsFile: undefined, ca: undefined }, undefined)
  assert.equal(egress.proxyFor(REGISTRY)?.url, proxy)
  assert.equal(egress.proxyFor(new URL('http://192.168.0.1'))?.url, proxy)
  assert.equal(egress.proxyFor(new URL('http://10.0.0.1')), undefined)
  const none = egressBySetting({ proxy: undefined, noProxy: [], credentialsFile: undefined, ca: undefined }, undefined)
  assert.equal(none.proxyFor(REGISTRY), undefined)
})

test('the login comes from a file of mode 0600, or from the systemd credential', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-egress-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'egress-proxy')
  const codeOf = (path: string | undefined) =>
    readEgressLogin(path, { CREDENTIALS_DIRECTORY: folder }).then(
      (login) => `${login?.username} ${login?.secret.reveal()}`,
      ({ code, message }) => (message.includes('planted') ? 'leaked' : code),
    )
  assert.equal(await readEgressLogin(undefined, {}), undefined)
  assert.equal(await codeOf(file), 'CONFIG_INVALID')
  await writeFile(file, 'user:planted:with colon\n', { mode: 0o600 })
  for (const path of [file, undefined]) assert.equal(await codeOf(path), 'user planted:with colon')
  for (const text of ['planted', ':planted', 'a:planted\nb:planted\n', `a:planted${'x'.repeat(5000)}`]) {
    await writeFile(file, text)
    assert.equal(await codeOf(file), 'CONFIG_INVALID', text.slice(0, 20))
  }
  await writeFile(file, 'user:planted')
  await chmod(file, 0o640)
  assert.equal(await codeOf(file), 'CONFIG_INVALID')
})
