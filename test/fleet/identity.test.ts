import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, test } from 'node:test'
import fc from 'fast-check'
import { createTokenRenewal, untilRenewalMs } from '../../src/fleet/renew-token.ts'
import { Secret } from '../../src/secret.ts'
import { readClaims } from '../../src/service-account-token.ts'
import { run } from '../cli/regcredd.ts'
import {
  type KubeApiserver,
  kubeconfigText,
  runKubectl,
  skipWithoutKubernetes,
  startKubeApiserver,
} from '../helpers/kube-apiserver.ts'
import { createNode, KEY, SYSTEM } from './rig.ts'

const manifest = join(import.meta.dirname, '../../kubernetes/fleet.yaml')
const HOUR_MS = 3_600_000

describe('a node outside of its cluster', { skip: skipWithoutKubernetes() }, () => {
  let api: KubeApiserver
  let folder: string

  before(async () => {
    api = await startKubeApiserver()
    await api.kubectl(['apply', '-f', manifest])
    await api.kubectl(['create', 'serviceaccount', 'nobody', '-n', SYSTEM])
    folder = await mkdtemp(join(tmpdir(), 'regcredd-identity-'))
    await writeFile(join(folder, 'ca.pem'), api.ca)
  })
  after(async () => {
    await api?.close()
    await rm(folder, { recursive: true, force: true })
  })

  const bootstrap = async (account = 'leader') =>
    (await api.kubectl(['create', 'token', account, '-n', SYSTEM, '--duration=10m'])).trim()
  const joinArgs = (kubeconfig: string) => [
    ...['kubernetes', 'join', '--server', api.url, '--ca-file', join(folder, 'ca.pem')],
    ...['--kubeconfig', join(folder, kubeconfig), '--json'],
  ]

  it('trades a bootstrap token once for one of its own, in files for it alone, and is a node with it', async (t) => {
    const token = await bootstrap()
    const joined = await run(joinArgs('kubeconfig'), { stdin: `${token}\n` })
    assert.equal(joined.code, 0, joined.stderr)
    const told = JSON.parse(joined.stdout)
    assert.equal(told.serviceAccount, `${SYSTEM}/leader`)
    assert.ok(Date.parse(told.expiresAt) - Date.now() > 6 * 24 * HOUR_MS)
    for (const path of [told.kubeconfig, told.tokenFile]) {
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      assert.doesNotMatch(await readFile(path, 'utf8'), new RegExp(token))
    }
    assert.doesNotMatch(joined.stdout + joined.stderr, /eyJ/)
    const node = createNode(t, { kubeconfig: told.kubeconfig, node: 'outside' })
    await node.login('one')
    assert.equal(await node.password(), 'one')
  })

  it('says what is wrong with a bootstrap token, and never what it was', async () => {
    const file = join(folder, 'bootstrap')
    const cases: [token: string, code: number, said: RegExp][] = [
      ['canary-4711', 1, /no token of a ServiceAccount/],
      [
        forged({ sub: `system:serviceaccount:${SYSTEM}:leader`, iat: 1, exp: 9_999_999_999 }),
        1,
        /does not accept the bootstrap token/,
      ],
      [await api.kubectl(['create', 'token', 'nobody', '-n', SYSTEM]), 1, /may not make a token of nobody/],
    ]
    for (const [token, code, said] of cases) {
      await writeFile(file, token, { mode: 0o600 })
      const refused = await run([...joinArgs('refused'), '--bootstrap-token-file', file])
      assert.equal(refused.code, code)
      assert.match(refused.stderr, said)
      assert.doesNotMatch(refused.stdout + refused.stderr, /canary|eyJ/)
      await assert.rejects(stat(join(folder, 'refused')))
    }
    const plain = await run(
      ['kubernetes', 'join', '--server', 'http://127.0.0.1:1', '--ca-file', join(folder, 'ca.pem')],
      { stdin: 'x' },
    )
    assert.equal(plain.code, 64)
    const other = await run(
      ['kubernetes', 'join', '--server', api.url, '--ca-file', join(import.meta.dirname, '../../package.json')],
      { stdin: await bootstrap() },
    )
    assert.equal(other.code, 1, 'an API server of another authority gets nothing')
  })

  it('renews its token with itself, in time, and uses the new one at once', async (t) => {
    const tokenFile = join(folder, 'renewed-token')
    const kubeconfig = join(folder, 'renewed')
    await writeFile(tokenFile, await bootstrap(), { mode: 0o600 })
    await writeFile(kubeconfig, kubeconfigText({ url: api.url, ca: api.ca, user: { tokenFile } }), { mode: 0o600 })
    const first = readClaims(new Secret((await readFile(tokenFile, 'utf8')).trim()))
    const pauses: number[] = []
    const end = new AbortController()
    let offsetMs = 0
    const renewal = createTokenRenewal({
      kubeconfig,
      time: {
        now: () => new Date(Date.now() + offsetMs),
        random: () => 0.5,
        async sleep(durationMs) {
          pauses.push(durationMs)
          offsetMs += durationMs
          if (pauses.length === 2) end.abort()
        },
      },
      onRenewed: () => undefined,
      onFault: (thrown) => {
        throw thrown
      },
    })
    t.after(() => renewal.close())
    await renewal.run(end.signal)
    const second = readClaims(new Secret((await readFile(tokenFile, 'utf8')).trim()))
    assert.ok(
      pauses[0] !== undefined && pauses[0] <= 400_000 && pauses[0] > 300_000,
      `two thirds of ten minutes: ${pauses[0]}`,
    )
    assert.equal(pauses[1], 24 * HOUR_MS)
    assert.ok(second.expiresAtMs > first.expiresAtMs + 24 * HOUR_MS)
    assert.equal((await stat(tokenFile)).mode & 0o777, 0o600)
    await runKubectl([
      `--kubeconfig=${await api.kubeconfig({ token: (await readFile(tokenFile, 'utf8')).trim() })}`,
      '-n',
      SYSTEM,
      'get',
      'leases',
    ])
  })

  it('goes on by itself when a token that had run out is replaced, and when the authority of the server is another', async (t) => {
    const tokenFile = join(folder, 'dead-token')
    const caFile = join(folder, 'rotated-ca.pem')
    const path = join(folder, 'rotated')
    await writeFile(tokenFile, forged({ sub: `system:serviceaccount:${SYSTEM}:leader`, iat: 1, exp: 2 }), {
      mode: 0o600,
    })
    await writeFile(caFile, api.ca)
    const text = JSON.parse(kubeconfigText({ url: api.url, ca: undefined, user: { tokenFile } }))
    text.clusters[0].cluster['certificate-authority'] = caFile
    await writeFile(path, JSON.stringify(text), { mode: 0o600 })
    const node = createNode(t, { kubeconfig: path, node: 'late' })
    const refused = await node.login('x').then(
      () => '',
      (thrown: Error) => thrown.message,
    )
    assert.match(refused, /does not accept the kubeconfig's user/)
    await writeFile(tokenFile, await bootstrap())
    await node.login('two')

    const other = await startKubeApiserver()
    t.after(() => other.close())
    await writeFile(caFile, other.ca)
    const unknown = await node.login('x').then(
      () => '',
      (thrown: Error) => thrown.message,
    )
    assert.match(unknown, /FLEET|cannot be reached/)
    await writeFile(caFile, api.ca)
    await node.login('three')
    assert.equal(await node.password('current', KEY), 'three')
  })
})

function forged(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`
}

test('what is no token of a ServiceAccount is refused without a word of it', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.json().map((json) => forged({ json })),
      ),
      (given) => {
        assert.throws(
          () => readClaims(new Secret(given)),
          (thrown: Error) => given.length < 8 || !thrown.message.includes(given),
        )
      },
    ),
  )
})

test('a token is renewed after a day or two thirds of its life, at the latest after that much, whatever the clock says', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 600, max: 400 * 86_400 }),
      fc.integer({ min: -1e12, max: 1e12 }),
      (seconds, nowMs) => {
        const claims = { namespace: 'a', account: 'b', issuedAtMs: 0, expiresAtMs: seconds * 1_000 }
        const leftMs = untilRenewalMs(claims, nowMs)
        assert.ok(leftMs >= 0 && leftMs <= Math.min(24 * HOUR_MS, seconds * 667))
      },
    ),
  )
})
