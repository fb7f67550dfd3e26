import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { type Containerd, type ContainerdOptions, startContainerd, writeHostsToml } from '../helpers/containerd.ts'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { type DockerRegistry, startDockerRegistry } from '../helpers/docker-registry.ts'
import { eventually } from '../helpers/eventually.ts'
import { type PushedImage, pushImage } from '../helpers/image.ts'
import { type KubeApiserver, skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { type Kubelet, startKubelet } from '../helpers/kubelet.ts'
import { pausingProgram } from '../helpers/pausing-program.ts'
import { skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'

const NAME = 'registry.corp.example'
const REF = `${NAME}/team/app:1`
const login = { username: 'ci', password: 'the one password' }
const WITHIN_MS = 90_000
const runtimes: NonNullable<ContainerdOptions['program']>[] = ['containerd', 'containerd-1', 'containerd-2']
const skip =
  skipWithoutRootAnd('kubelet', 'runc', ...runtimes) ||
  skipWithoutKubernetes() ||
  skipWithout('docker-registry', 'htpasswd', 'openssl', 'skopeo', 'umoci')

let registry: DockerRegistry
let open: DockerRegistry
let image: PushedImage
let api: KubeApiserver
let daemon: Daemon

before(async () => {
  if (skip) return
  registry = await startDockerRegistry({ login, names: [NAME] })
  open = await startDockerRegistry({ tls: 'plain' })
  const program = pausingProgram()
  image = await pushImage(registry, { repository: 'team/app', tag: '1', login, program })
  await pushImage(open, { repository: 'pause', tag: 'test', program })
  api = await startKubeApiserver()
  daemon = await startDaemon({
    registries: [
      {
        host: NAME,
        upstream: registry.origin,
        serverName: NAME,
        caFile: registry.ca?.certFile,
        callers: 'pull-secret',
      },
    ],
  })
  await logIn(daemon, NAME, login)
})

after(async () => {
  await daemon?.close()
  await api?.close()
  await open?.stop()
  await registry?.stop()
})

for (const program of runtimes) {
  suite(`a kubelet on ${program}`, { skip }, () => {
    let containerd: Containerd
    let kubelet: Kubelet

    before(async () => {
      containerd = await startContainerd({ program })
      await writeHostsToml(containerd.certsDir, 'registry.k8s.io', { url: open.origin })
      await writeHostsToml(containerd.certsDir, NAME, { url: `http://${daemon.proxy}` })
      kubelet = await startKubelet(api, { socketPath: containerd.socketPath, node: program })
    })

    after(async () => {
      await eventually('the pods have ended', async () => (await containerd.tasks()).length === 0, WITHIN_MS)
      await kubelet?.stop()
      await containerd?.stop()
    })

    async function newNamespace(name: string, password: string | undefined): Promise<string> {
      const namespace = `${name}-${program}`
      await api.kubectl(['create', 'namespace', namespace])
      await api.kubectl(['create', 'serviceaccount', 'default', '-n', namespace])
      if (password !== undefined) {
        const secret = ['create', 'secret', 'docker-registry', 'regcred', '-n', namespace, `--docker-server=${NAME}`]
        await api.kubectl([...secret, '--docker-username=ci', `--docker-password=${password}`])
      }
      return namespace
    }

    /** Starts a pod whose image is pulled afresh; gives its container's state once it runs, or the pull has failed. */
    async function outcomeOf(namespace: string): Promise<{ isRunning: boolean; message: string; image: string }> {
      const pod = JSON.stringify(podOn(program))
      await api.kubectl(['apply', '-n', namespace, '-f', '-'], pod)
      const outcome = await eventually(
        'the container runs, or its image cannot be had',
        () => seen(namespace),
        WITHIN_MS,
      )
      await api.kubectl(['delete', 'pod', 'app', '-n', namespace, '--grace-period=1'])
      return outcome
    }

    async function seen(namespace: string) {
      const { status } = JSON.parse(await api.kubectl(['get', 'pod', 'app', '-n', namespace, '-o', 'json']))
      const { state, imageID } = status.containerStatuses?.[0] ?? {}
      const isRunning = state?.running !== undefined
      const message = String(state?.waiting?.message ?? '')
      return isRunning || /pull/.test(message) ? { isRunning, message, image: String(imageID) } : undefined
    }

    test('a pod with the Secret runs the image that was pushed', async () => {
      const outcome = await outcomeOf(await newNamespace('right', login.password))
      assert.ok(outcome.isRunning, outcome.message)
      assert.equal(outcome.image, `${NAME}/team/app@${image.manifestDigest}`)
    })

    test('a pod without a Secret does not ride on the password of the node', async () => {
      const before = registry.log()
      const outcome = await outcomeOf(await newNamespace('none', undefined))
      assert.equal(outcome.isRunning, false)
      assert.match(outcome.message, /401 Unauthorized|no basic auth credentials/)
      assert.equal(registry.log(), before)
    })

    test('a pod with a wrong Secret is refused, and the registry never hears of it', async () => {
      const before = registry.log()
      const outcome = await outcomeOf(await newNamespace('wrong', 'another password'))
      assert.equal(outcome.isRunning, false)
      // Only containerd 2 hands our own words on, into the pod's status and event.
      assert.match(
        outcome.message,
        program === 'containerd-2'
          ? /403 Forbidden\ndenied: the pull secret is not the credential that is in force/
          : /403/,
      )
      assert.equal(registry.log(), before)
    })
  })
}

function podOn(node: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'app' },
    spec: {
      nodeName: node,
      hostNetwork: true,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      tolerations: [{ operator: 'Exists' }],
      imagePullSecrets: [{ name: 'regcred' }],
      containers: [{ name: 'app', image: REF, imagePullPolicy: 'Always' }],
    },
  }
}
