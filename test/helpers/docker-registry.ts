import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServer } from './server-process.ts'
import { type Certificate, makeCa, makeServerCertificate } from './tls.ts'
import { needTool } from './tools.ts'

export type Login = { username: string; password: string }

export type DockerRegistry = {
  /** `https://127.0.0.1:PORT`, or http: where started without TLS. */
  origin: string
  /** `127.0.0.1:PORT` */
  host: string
  port: number
  /** What clients must trust; undefined without TLS. */
  ca: Certificate | undefined
  /** Changes the password at the registry, as an administrator would; in force when it resolves. Takes ~10 ms. */
  setPassword: (password: string) => Promise<void>
  log: () => string
  stop: () => Promise<void>
}

export type DockerRegistryOptions = {
  /** With undefined, everybody may push and pull. */
  login?: Login | undefined
  tls?: 'tls' | 'plain'
  /** Names on the certificate beside 127.0.0.1 and localhost. */
  names?: string[]
  /** Debian's docker-registry is distribution 2.8; `distribution` is 3. */
  program?: 'docker-registry' | 'distribution'
  /** Authorities of the client certificates that it demands. */
  clientCaFile?: string
  /** A token server that it believes, in place of `login`. */
  tokens?: { realm: string; service: string; issuer: string; signingCertFile: string }
}

/** Starts a registry of the distribution project on a free port of 127.0.0.1, its blobs in a temp folder that `stop` removes. */
export async function startDockerRegistry({
  login,
  tls = 'tls',
  names = [],
  program = 'docker-registry',
  clientCaFile,
  tokens,
}: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const tool = needTool(program)
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-registry-'))
  const ca = tls === 'tls' ? await makeCa(dir) : undefined
  const certificate = ca && (await makeServerCertificate(ca, dir, [...names, 'localhost', '127.0.0.1']))
  const passwordFile = join(dir, 'htpasswd')
  if (login) await writeFile(passwordFile, await htpasswdLine(login))
  await mkdir(join(dir, 'data'))
  const config = {
    version: '0.1',
    log: { level: 'info', formatter: 'text' },
    storage: { filesystem: { rootdirectory: join(dir, 'data') }, delete: { enabled: true } },
    http: {
      addr: '127.0.0.1:0',
      ...(certificate && {
        tls: {
          certificate: certificate.certFile,
          key: certificate.keyFile,
          ...(clientCaFile !== undefined && { clientcas: [clientCaFile] }),
        },
      }),
    },
    ...(login && { auth: { htpasswd: { realm: 'test registry', path: passwordFile } } }),
    ...(tokens && { auth: { token: tokenAuth(tokens) } }),
  }
  const configFile = join(dir, 'config.yml') // JSON is YAML
  await writeFile(configFile, JSON.stringify(config))
  const server = await startServer({
    tool,
    args: ['serve', configFile],
    // Without it distribution 3 looks for a collector of traces.
    env: { OTEL_TRACES_EXPORTER: 'none' },
    ready: /listening on 127\.0\.0\.1:(\d+)/,
  })
  const port = Number(server.ready[1])
  let passwordAtS = Math.ceil(Date.now() / 1000)
  return {
    origin: `${ca ? 'https' : 'http'}://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    port,
    ca,
    setPassword: async (password) => {
      if (login === undefined) throw new Error('a registry that was started without a login has no password')
      await writeFile(`${passwordFile}.new`, await htpasswdLine({ username: login.username, password }))
      // docker-registry 2.8 reads the file again when its time is a later one, which two files of one tick need not have.
      passwordAtS += 1
      await utimes(`${passwordFile}.new`, passwordAtS, passwordAtS)
      // So that no request meets half of it.
      await rename(`${passwordFile}.new`, passwordFile)
    },
    log: server.log,
    stop: async () => {
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function tokenAuth({ realm, service, issuer, signingCertFile }: NonNullable<DockerRegistryOptions['tokens']>) {
  return { realm, service, issuer, rootcertbundle: signingCertFile }
}

/** The registry takes bcrypt only. The password goes by standard input; cost 4 keeps each request below a millisecond or two. */
async function htpasswdLine({ username, password }: Login): Promise<string> {
  const tool = needTool('htpasswd')
  const child = spawn(tool.command, ['-n', '-i', '-B', '-C', '4', username], {
    env: tool.env,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  let line = ''
  child.stdout.on('data', (chunk) => (line += chunk))
  child.stdin.end(password)
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`htpasswd ended with ${code}`)
  return line
}
