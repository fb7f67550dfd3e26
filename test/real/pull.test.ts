import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Containerd, startContainerd, writeHostsToml } from '../helpers/containerd.ts'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { type DockerRegistry, startDockerRegistry } from '../helpers/docker-registry.ts'
import { eventually } from '../helpers/eventually.ts'
import { type PushedImage, pushImage } from '../helpers/image.ts'
import { type Keyring, skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { skopeo, skopeoInspect } from '../helpers/skopeo.ts'
import { skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'

const NAME = 'registry.corp.example'
const REF = `${NAME}/team/app:1`
const login = { username: 'ci', password: 'first password' }
const WITHIN_MS = 90_000
const skip =
  skipWithoutRootAnd('containerd', 'runc') ||
  skipWithout('docker-registry', 'htpasswd', 'openssl', 'skopeo', 'umoci') ||
  skipWithoutKeyring()

let registry: DockerRegistry
let image: PushedImage
let keyring: Keyring
let daemon: Daemon
let containerd: Containerd

before(async () => {
  if (skip) return
  registry = await startDockerRegistry({ login, names: [NAME] })
  image = await pushImage(registry, { repository: 'team/app', tag: '1', login, layerBytes: 3_000_000 })
  keyring = await startKeyring()
  const caFile = join(keyring.folder, 'registry-ca.pem')
  await writeFile(caFile, registry.ca?.cert ?? '')
  daemon = await startDaemon({
    registries: [{ host: NAME, upstream: registry.origin, serverName: NAME, caFile, repositories: ['team/*'] }],
    config: { keychain: { store: 'os' } },
    env: keyring.env,
  })
  containerd = await startContainerd()
  await writeHostsToml(containerd.certsDir, NAME, {
    url: `http://${daemon.proxy}`,
    headers: { 'regcredd-token': daemon.callerToken },
  })
})

after(async () => {
  await containerd?.stop()
  await daemon?.close()
  await keyring?.close()
  await registry?.stop()
})

/** How many requests for a manifest the registry has answered with 401. */
function refusals(): number {
  return registry.log().match(/"(?:GET|HEAD) \/v2\/team\/app\/manifests\/\S+ HTTP\/1\.1" 401 /g)?.length ?? 0
}

/** Pulls as the kubelet does, and gives the digest that containerd then has; nothing of an earlier pull is left before. */
async function pull(): Promise<string | undefined> {
  if ((await containerd.cri.imageStatus(REF)) !== undefined) await containerd.forget(REF)
  await containerd.cri.pullImage(REF)
  return (await containerd.cri.imageStatus(REF))?.repoDigests[0]
}

test('without a stored password a pull is refused, and containerd has nothing', { skip }, async () => {
  await assert.rejects(pull(), /403/)
  assert.equal(await containerd.cri.imageStatus(REF), undefined)
})

test('with the password in the keyring a CRI PullImage gives the image that was pushed', { skip }, async () => {
  await logIn(daemon, NAME, login)
  assert.equal(await pull(), `${NAME}/team/app@${image.manifestDigest}`)
  const kinds = async () => {
    const records = (await daemon.audit()).filter((record) => record.type === 'pull.end' && record.complete)
    return new Set(records.map((record) => ('kind' in record ? record.kind : '')))
  }
  // The end of a pull is written when containerd has had it.
  await eventually('both are in the audit', async () => (await kinds()).size === 2)
  assert.deepEqual(await kinds(), new Set(['manifest', 'blob']))
})

test('skopeo pulls the same by path prefix, with the caller token as its password', { skip }, async () => {
  const reference = `${daemon.proxy}/${NAME}/team/app:1`
  const found = await skopeoInspect(reference, { login: { username: 'node', password: daemon.callerToken } })
  assert.deepEqual([found.Digest, found.Layers], [image.manifestDigest, image.layerDigests])
  const { code, stderr } = await skopeo('inspect', daemon.proxy, [`docker://${reference}`])
  assert.ok(code !== 0 && /denied: this proxy does not let the caller in: it needs a caller token/.test(stderr), stderr)
})

test('a rotation in staging order costs containerd no pull', { skip }, async () => {
  const pulled: (string | undefined)[] = []
  let pulling = true
  const load = (async () => {
    while (pulling && pulled.length < 1_000) pulled.push(await pull())
  })()
  const { status, headers } = await daemon.rest('POST', `/v1/registries/${NAME}/rotations`, {
    password: 'second password',
  })
  assert.equal(status, 202)
  await eventually('pulls go on with the old one', () => pulled.length >= 1, WITHIN_MS)
  await registry.setPassword('second password')
  await eventually(
    'the rotation is in force',
    async () => (await daemon.rest('GET', headers.location ?? '')).body.state === 'GRACE',
    WITHIN_MS,
  )
  const before = pulled.length
  // Of two that end from now on, one began after it.
  await eventually('pulls go on with the new one', () => pulled.length >= before + 2, WITHIN_MS)
  pulling = false
  await load
  assert.ok(pulled.length >= 2, `${pulled.length} pulls`)
  assert.deepEqual(new Set(pulled), new Set([`${NAME}/team/app@${image.manifestDigest}`]))
})

test('where the pull secret is asked for, a pod with the right one is served, one without or with a wrong one is not', {
  skip,
}, async () => {
  const strict = await startDaemon({
    registries: [
      {
        host: NAME,
        upstream: registry.origin,
        serverName: NAME,
        caFile: join(keyring.folder, 'registry-ca.pem'),
        callers: 'pull-secret',
      },
    ],
  })
  try {
    const password = 'second password'
    await logIn(strict, NAME, { password })
    await writeHostsToml(containerd.certsDir, NAME, { url: `http://${strict.proxy}` })
    if ((await containerd.cri.imageStatus(REF)) !== undefined) await containerd.forget(REF)
    // The login has asked the registry, whose log comes a moment after its answers.
    const before = await eventually('the registry has logged it', async () => {
      const { length } = registry.log()
      await sleep(300)
      return registry.log().length === length && length
    })
    await assert.rejects(containerd.cri.pullImage(REF), /401|unauthorized|pull secret/i)
    await assert.rejects(containerd.cri.pullImage(REF, { username: 'ci', password: 'wrong' }), /403|pull secret/i)
    assert.equal(registry.log().length, before, 'nothing went to the registry')
    await containerd.cri.pullImage(REF, { username: 'ci', password })
    const served = (await strict.audit()).find((record) => record.type === 'pull.begin')
    assert.equal(served?.type === 'pull.begin' && served.caller, 'pull-secret v1')
  } finally {
    await strict.close()
    await writeHostsToml(containerd.certsDir, NAME, {
      url: `http://${daemon.proxy}`,
      headers: { 'regcredd-token': daemon.callerToken },
    })
  }
})

test('with the daemon stopped and hosts.toml falling to the registry, the pull fails with the registry’s own 401', {
  skip,
}, async () => {
  await daemon.stop()
  try {
    const proxied = `http://${daemon.proxy}`
    const ca = join(keyring.folder, 'registry-ca.pem')
    await writeFile(
      join(containerd.certsDir, NAME, 'hosts.toml'),
      `server = "${registry.origin}"\nca = "${ca}"\n[host."${proxied}"]\ncapabilities = ["pull", "resolve"]\n`,
    )
    const before = refusals()
    // containerd names the first host's error alone; that the registry said 401 is in the registry's own log.
    await assert.rejects(pull(), /connection refused/)
    await eventually('the registry has logged its refusal', () => refusals() > before)
  } finally {
    await daemon.start()
  }
})
