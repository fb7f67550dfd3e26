import { execFile } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { type ServerProcess, startServer } from './server-process.ts'
import { needTool, skipWithout } from './tools.ts'

export type KubeUser = 'admin' | 'regcredd'

export type KubeApiserver = {
  /** `https://127.0.0.1:PORT`; the port stays the same over `stop` and `start`. */
  url: string
  ca: string
  /** A bearer token: of a member of system:masters, or of a user without any rights but those that a test gives. */
  tokens: Record<KubeUser, string>
  /** Writes a kubeconfig in the server's temp folder and gives its path. `user` is one of those above, or holds a token. */
  kubeconfig(user: KubeUser | { token: string }): Promise<string>
  /** Runs kubectl as admin; gives what it wrote, rejects with its complaint. */
  kubectl(args: string[], input?: string): Promise<string>
  /** Waits for the binding by which a user may do that: the API server takes one up a moment after it has stored it. */
  untilMayCreateSecrets(user: string, namespace: string): Promise<void>
  /** Ends the API server as a dead machine would; etcd and its data stay. */
  stop(): Promise<void>
  /** Starts it again on the same port, with the same certificate and tokens. */
  start(): Promise<void>
  /** What the API server has written since its last start. */
  log(): string
  close(): Promise<void>
}

/** For `{ skip: skipWithoutKubernetes() }`. */
export function skipWithoutKubernetes(): false | string {
  return skipWithout('kube-apiserver', 'etcd', 'kubectl')
}

/** `ca` is the path of the PEM file by which `certFile` is to be trusted; all are read at each start. */
export type KubeApiserverTls = { certFile: string; keyFile: string; ca: string }

/** Starts a real kube-apiserver with RBAC on an etcd of its own, both on 127.0.0.1; ready in about four seconds. */
export async function startKubeApiserver({
  args = [],
  tls,
}: {
  args?: string[]
  tls?: KubeApiserverTls
} = {}): Promise<KubeApiserver> {
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-kubernetes-'))
  const etcd = await startEtcd(dir)
  const tokens = { admin: randomBytes(16).toString('hex'), regcredd: randomBytes(16).toString('hex') }
  const files = await writeFiles(dir, tokens)
  const port = await freePort()
  const url = `https://127.0.0.1:${port}`
  let server: ServerProcess | undefined
  let kubeconfigs = 0
  const caFile = tls?.ca ?? join(dir, 'apiserver.crt')

  const start = async () => {
    server = await startServer({
      tool: needTool('kube-apiserver'),
      args: [
        `--etcd-servers=${etcd.url}`,
        '--bind-address=127.0.0.1',
        `--secure-port=${port}`,
        `--cert-dir=${dir}`,
        '--authorization-mode=Node,RBAC',
        `--token-auth-file=${files.tokens}`,
        '--service-account-issuer=https://kubernetes.test',
        `--service-account-key-file=${files.serviceAccountKey}`,
        `--service-account-signing-key-file=${files.serviceAccountKey}`,
        '--service-cluster-ip-range=10.0.0.0/24',
        ...(tls === undefined ? [] : [`--tls-cert-file=${tls.certFile}`, `--tls-private-key-file=${tls.keyFile}`]),
        ...args,
      ],
      ready: /Serving securely on/,
    })
    // Read for each try: a test may put the new one there only when clients have seen that the old one does not count any more.
    await untilReady(url, () => readFile(caFile, 'utf8'), tokens.admin, server.log)
  }
  await start()
  const ca = await readFile(caFile, 'utf8')

  const kubeconfig = async (user: KubeUser | { token: string }) => {
    kubeconfigs += 1
    const path = join(dir, `kubeconfig-${kubeconfigs}`)
    const token = typeof user === 'string' ? tokens[user] : user.token
    await writeFile(path, kubeconfigText({ url, ca, user: { token } }), { mode: 0o600 })
    return path
  }
  const admin = await kubeconfig('admin')

  return {
    url,
    ca,
    tokens,
    kubeconfig,
    kubectl: (args, input) => runKubectl([`--kubeconfig=${admin}`, ...args], input),
    untilMayCreateSecrets: async (user, namespace) => {
      const args = ['auth', 'can-i', `--as=${user}`, '-n', namespace, 'create', 'secrets']
      const asked = () => runKubectl([`--kubeconfig=${admin}`, ...args]).catch(() => '')
      await eventually(`${user} may create Secrets in ${namespace}`, async () => (await asked()).trim() === 'yes')
    },
    stop: async () => {
      if (server !== undefined) await kill(server)
    },
    start,
    log: () => server?.log() ?? '',
    async close() {
      if (server !== undefined) await kill(server)
      await etcd.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** A kubeconfig with one cluster, user and context. JSON is YAML. */
export function kubeconfigText(parts: { url: string; ca: string | undefined; user: object }): string {
  const ca = parts.ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(parts.ca).toString('base64') }
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: parts.url, ...ca } }],
    users: [{ name: 'test', user: parts.user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  })
}

/** Runs kubectl; `create secret … --dry-run=client` needs no server. */
export async function runKubectl(args: string[], input?: string): Promise<string> {
  const tool = needTool('kubectl')
  const child = promisify(execFile)(tool.command, args, { env: tool.env, maxBuffer: 16_000_000 })
  child.child.stdin?.end(input)
  return (await child).stdout
}

async function startEtcd(dir: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const url = `http://127.0.0.1:${await freePort()}`
  const peers = `http://127.0.0.1:${await freePort()}`
  const server = await startServer({
    tool: needTool('etcd'),
    args: [
      `--data-dir=${join(dir, 'etcd')}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
    ],
    ready: /ready to serve client requests/,
  })
  return { url, stop: () => server.stop() }
}

async function writeFiles(dir: string, tokens: Record<KubeUser, string>) {
  const files = { tokens: join(dir, 'tokens.csv'), serviceAccountKey: join(dir, 'service-account.key') }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  await writeFile(files.serviceAccountKey, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 })
  const lines = [`${tokens.admin},admin,1,"system:masters"`, `${tokens.regcredd},regcredd,2`]
  await writeFile(files.tokens, `${lines.join('\n')}\n`, { mode: 0o600 })
  return files
}

async function untilReady(url: string, readCa: () => Promise<string>, token: string, log: () => string): Promise<void> {
  const deadline = Date.now() + 120_000
  while (Date.now() < deadline) {
    const agent = new Agent({ ca: await readCa(), keepAlive: false })
    if ((await statusOf(`${url}/readyz`, agent, token)) === 200) return
    await sleep(50)
  }
  throw new Error(`kube-apiserver is not ready:\n${log().slice(-2000)}`)
}

function statusOf(url: string, agent: Agent, token: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const asked = request(url, { agent, headers: { authorization: `Bearer ${token}` } }, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
    asked.on('error', () => resolve(undefined))
    asked.end()
  })
}

/** Not SIGTERM: kube-apiserver then waits for its clients, and a dead server is what the tests are about. */
async function kill({ pid, stop }: ServerProcess): Promise<void> {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
  await stop()
}
