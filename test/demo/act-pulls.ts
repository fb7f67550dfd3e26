import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Daemon, startDaemon } from '../helpers/daemon.ts'
import { digestOf } from '../helpers/fake-registry.ts'
import { startKeyring } from '../helpers/keyring.ts'
import { skopeoCopy } from '../helpers/skopeo.ts'
import type { DemoCluster } from './cluster.ts'
import { titleOf } from './parts.ts'
import type { Puller } from './puller.ts'
import { type DemoRegistry, HOST, IMAGE, USERNAME } from './registry.ts'
import type { Scene } from './scene.ts'
import { addDaemon } from './workbench.ts'

/** Keyring, daemon, login; then the same image, pulled by who has no password. */
export async function showPulls(
  scene: Scene,
  { registry, digest, puller }: { registry: DemoRegistry; digest: string; puller: Puller },
): Promise<Daemon> {
  const { screen, parts, workbench } = scene
  screen.heading('3. With regcredd')
  const keyringEnv = await showKeyring(scene)
  const cluster = await showCluster(scene)
  const daemon = await showDaemon(scene, registry, keyringEnv, cluster)

  const login = `regcredd login ${HOST} --username ${USERNAME} --password-stdin < spring.txt`
  await workbench.writeSecret('spring.txt', scene.passwords.first)
  screen.command(login)
  await screen.step('logging in', async () => {
    const { code, stdout, stderr } = await workbench.run(login)
    assert.equal(code, 0, stderr)
    return stdout
  })
  await screen.step(`${puller.title} pulls through the daemon`, async () => {
    await puller.route({ daemon })
    assert.equal(await puller.pull(), digest, 'another digest was pulled than was pushed')
    return `${puller.title} pulls it ${puller.how}: the digest that was pushed`
  })
  if (!parts.containerd) {
    screen.note(`All it was told: hosts.toml names http://${daemon.proxy} and a caller token. No password.`)
  }
  await showSkopeo(scene, daemon, digest)
  return daemon
}

async function showKeyring(scene: Scene): Promise<NodeJS.ProcessEnv | undefined> {
  const { screen, parts, stack } = scene
  if (parts['gnome-keyring']) {
    screen.skipped(`an encrypted file stands in for gnome-keyring (${parts['gnome-keyring']})`)
    return undefined
  }
  let env: NodeJS.ProcessEnv | undefined
  await screen.step('starting a keyring on a bus of its own', async () => {
    const keyring = await startKeyring()
    stack.defer(keyring.close)
    env = keyring.env
    return `${titleOf('gnome-keyring-daemon')} runs on a bus of its own, unlocked`
  })
  return env
}

async function showCluster(scene: Scene): Promise<DemoCluster | undefined> {
  let cluster: DemoCluster | undefined
  if (scene.parts['kube-apiserver'] && scene.options.kubeconfig === undefined) return undefined
  await scene.screen.step('waiting for the Kubernetes API', async () => {
    cluster = await scene.cluster
    return `${cluster?.title} answers; namespace ${cluster?.namespace}`
  })
  return cluster
}

async function showDaemon(
  { screen, stack, workbench }: Scene,
  registry: DemoRegistry,
  keyringEnv: NodeJS.ProcessEnv | undefined,
  cluster: DemoCluster | undefined,
): Promise<Daemon> {
  let daemon: Daemon | undefined
  await screen.step('starting the daemon', async () => {
    const tls = registry.ca === undefined ? {} : { serverName: HOST, caFile: registry.ca.certFile }
    daemon = await startDaemon({
      registries: [{ host: HOST, upstream: registry.origin, ...tls, repositories: ['team/*'] }],
      config: {
        ...(keyringEnv !== undefined && { keychain: { store: 'os' } }),
        ...(cluster !== undefined && {
          kubernetes: {
            kubeconfig: cluster.kubeconfig,
            mirrors: [{ registries: [HOST], namespaces: [cluster.namespace] }],
          },
        }),
      },
      env: keyringEnv ?? {},
    })
    stack.defer(daemon.close)
    await addDaemon(workbench, daemon)
    return `regcredd serves pulls on http://${daemon.proxy}; passwords are in the ${keyringEnv ? 'keyring' : 'encrypted file'}`
  })
  assert.ok(daemon !== undefined)
  return daemon
}

async function showSkopeo({ screen, parts, workbench }: Scene, daemon: Daemon, digest: string): Promise<void> {
  if (parts.skopeo) {
    screen.skipped(`no pull by path prefix, as there is no skopeo (${parts.skopeo})`)
    return
  }
  await screen.step('skopeo pulls through the daemon', async () => {
    const layout = join(workbench.folder, 'skopeo')
    const source = `docker://${daemon.proxy}/${IMAGE}`
    await skopeoCopy(source, `dir:${layout}`, { login: { username: 'node', password: daemon.callerToken } })
    assert.equal(digestOf(await readFile(join(layout, 'manifest.json'))), digest)
    return `${titleOf('skopeo')} pulls the same, by path prefix: ${source}`
  })
}
