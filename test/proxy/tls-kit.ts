import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClientCa, makeClientCa } from '../helpers/client-tls.ts'
import type { Got } from '../helpers/proxy.ts'
import { type Certificate, makeCa, makeServerCertificate } from '../helpers/tls.ts'

/** The files of `proxy.tls`, and who made them. */
export type TlsPlace = {
  folder: string
  /** Of the server's certificate. */
  serverCa: Certificate
  clientCa: ClientCa
  paths: { certFile: string; keyFile: string; clientCaFile: string; crlFile: string }
  remove(): Promise<void>
}

export async function makeTlsPlace(names = ['127.0.0.1', 'localhost']): Promise<TlsPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-tls-'))
  const dirs = { server: join(folder, 'server'), clients: join(folder, 'clients') }
  for (const dir of Object.values(dirs)) await mkdir(dir)
  const serverCa = await makeCa(dirs.server)
  const server = await makeServerCertificate(serverCa, dirs.server, names)
  const clientCa = await makeClientCa(dirs.clients)
  const paths = {
    certFile: join(folder, 'server.pem'),
    keyFile: join(folder, 'server.key'),
    clientCaFile: join(folder, 'client-ca.pem'),
    crlFile: join(folder, 'crl.pem'),
  }
  await copyFile(server.certFile, paths.certFile)
  await copyFile(server.keyFile, paths.keyFile)
  await copyFile(clientCa.certFile, paths.clientCaFile)
  await clientCa.writeCrl(paths.crlFile)
  return { folder, serverCa, clientCa, paths, remove: () => rm(folder, { recursive: true, force: true }) }
}

type AskOptions = {
  method?: string
  headers?: Record<string, string>
  show?: Certificate | undefined
  tls?: Record<string, unknown>
}

/** One request over TLS, with a client certificate where one is to be shown. */
export async function askTls(
  { serverCa }: TlsPlace,
  port: number,
  path: string,
  { method = 'GET', headers = {}, show, tls = {} }: AskOptions = {},
): Promise<Got & { protocol: string | null }> {
  const own = show && { cert: show.cert, key: await readFile(show.keyFile) }
  const options = { host: '127.0.0.1', port, path, method, headers, agent: false as const, ca: serverCa.cert }
  return new Promise((resolve, reject) => {
    const request = httpsRequest({ ...options, ...own, ...tls }, (answer) => {
      const pieces: Buffer[] = []
      const { socket } = answer as unknown as { socket: { getProtocol(): string | null } }
      const protocol = socket.getProtocol()
      const done = (cut: boolean) =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(pieces), cut, protocol })
      answer.on('data', (piece: Buffer) => pieces.push(piece))
      answer.on('end', () => done(false)).on('error', () => done(true))
    })
    request.on('error', reject)
    request.end()
  })
}
