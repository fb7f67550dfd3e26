import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { AgentOptions } from 'node:https'
import { dirname, resolve } from 'node:path'
import type {
  AuthenticationV1Api,
  AuthorizationV1Api,
  Cluster,
  CoordinationV1Api,
  CoreV1Api,
  KubeConfig,
} from '@kubernetes/client-node'
import { RegcreddError } from '../errors.ts'
import { systemCode } from './fault.ts'

export type Client = typeof import('./kubernetes-client.ts').client
export type Connection = {
  api: CoreV1Api
  authentication: AuthenticationV1Api
  authorization: AuthorizationV1Api
  coordination: CoordinationV1Api
  client: Client
  kubeConfig: KubeConfig
  /** Where the user's token is read from, for every call; absolute. */
  tokenFile: string | undefined
}

/** A kubeconfig file, re-read whenever its content changes. */
export type Kubeconfig = {
  /** The API of its current context, and the library that made it. Throws KUBERNETES_FAILED, with no word of the file's content. */
  connect(): Promise<Connection>
  /** Makes the next call open new connections; what is under way goes on. For when the old ones may be dead without a word. */
  renew(): void
  close(): Promise<void>
}

export function openKubeconfig(path: string): Kubeconfig {
  const dispatchers = keepDispatcher()
  let current: ({ text: string } & Connection) | undefined

  return {
    async connect() {
      const text = await readText(path)
      if (text !== current?.text) {
        const { client } = await import('./kubernetes-client.ts')
        const { kubeConfig, tokenFile } = parse(client, text, dirname(resolve(path)))
        dispatchers.install(kubeConfig)
        hideAuthErrors(kubeConfig)
        current = {
          text,
          client,
          kubeConfig,
          tokenFile,
          api: kubeConfig.makeApiClient(client.CoreV1Api),
          authentication: kubeConfig.makeApiClient(client.AuthenticationV1Api),
          authorization: kubeConfig.makeApiClient(client.AuthorizationV1Api),
          coordination: kubeConfig.makeApiClient(client.CoordinationV1Api),
        }
      }
      return current
    },
    renew: () => dispatchers.renew(),
    close: () => dispatchers.close(),
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    throw new RegcreddError('KUBERNETES_FAILED', `the kubeconfig cannot be read (${systemCode(thrown)})`)
  }
}

/** No `cause` on these errors: the YAML parser quotes the lines it stumbles over, and tokens stand in them. */
function parse(client: Client, text: string, folder: string): Pick<Connection, 'kubeConfig' | 'tokenFile'> {
  const kubeConfig = new client.KubeConfig()
  let server: string | undefined
  let verified = true
  let tokenFile: string | undefined
  try {
    kubeConfig.loadFromString(text)
    kubeConfig.makePathsAbsolute(folder)
    tokenFile = useTokenFile(client, kubeConfig, text, folder)
    const cluster = kubeConfig.getCurrentCluster()
    server = cluster?.server
    verified = cluster?.skipTLSVerify !== true
  } catch {
    throw new RegcreddError('KUBERNETES_FAILED', 'the kubeconfig is not well-formed')
  }
  if (server === undefined) {
    throw new RegcreddError('KUBERNETES_FAILED', "the kubeconfig's current context names no cluster")
  }
  if (verified && !server.startsWith('https://')) {
    throw new RegcreddError('KUBERNETES_FAILED', "the kubeconfig's server is not https and not marked as insecure")
  }
  return { kubeConfig, tokenFile }
}

/**
 * client-node 2.0.1 overlooks `tokenFile`, and reads one given in another way once a minute only. Read for every call here: a
 * renewed token counts at once. In client-go, too, it outranks `token`.
 */
function useTokenFile(client: Client, kubeConfig: KubeConfig, text: string, folder: string): string | undefined {
  const user = kubeConfig.getCurrentUser()
  const raw = client.loadYaml<{ users?: { name?: string; user?: { tokenFile?: unknown } }[] }>(text)
  const tokenFile = raw.users?.find(({ name }) => name === user?.name)?.user?.tokenFile
  if (user === null || typeof tokenFile !== 'string') return undefined
  const path = resolve(folder, tokenFile)
  Object.assign(user, { token: undefined })
  const apply = kubeConfig.applySecurityAuthentication.bind(kubeConfig)
  kubeConfig.applySecurityAuthentication = async (context) => {
    await apply(context)
    const token = (await readFile(path, 'utf8')).trim()
    context.setHeaderParam('Authorization', `Bearer ${token}`)
  }
  return path
}

/** A credential plugin's stderr becomes the message of the client's error: only the system's code is passed on. */
function hideAuthErrors(kubeConfig: KubeConfig): void {
  const apply = kubeConfig.applySecurityAuthentication.bind(kubeConfig)
  kubeConfig.applySecurityAuthentication = async (context) => {
    try {
      await apply(context)
    } catch (thrown) {
      const code = systemCode(thrown)
      const told = 'what the kubeconfig names to authenticate with (certificate, token file or plugin) cannot be used'
      throw new RegcreddError('KUBERNETES_FAILED', code === undefined ? told : `${told} (${code})`)
    }
  }
}

/**
 * client-node 2.0.1 makes a connection pool for every call, so that no connection is ever used twice. One pool is kept as long
 * as CA, certificate and key, read from their files for every call, have the same content.
 */
function keepDispatcher(): { install(kubeConfig: KubeConfig): void; renew(): void; close(): Promise<void> } {
  let kept: { fingerprint: string; dispatcher: ReturnType<KubeConfig['createDispatcher']> } | undefined

  return {
    install(kubeConfig) {
      const create = kubeConfig['createDispatcher'].bind(kubeConfig)
      kubeConfig['createDispatcher'] = (cluster: Cluster | null, agentOptions: AgentOptions) => {
        const options = kubeConfig.createDispatcherOptions(cluster, agentOptions)
        const fingerprint = createHash('sha256').update(JSON.stringify(options)).digest('hex')
        if (kept?.fingerprint !== fingerprint) {
          const before = kept
          kept = { fingerprint, dispatcher: create(cluster, agentOptions) }
          before?.dispatcher?.close(() => undefined)
        }
        return kept.dispatcher
      }
    },
    renew() {
      kept?.dispatcher?.close(() => undefined)
      kept = undefined
    },
    async close() {
      await kept?.dispatcher?.destroy()
      kept = undefined
    },
  }
}
