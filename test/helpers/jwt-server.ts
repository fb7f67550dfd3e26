import { execFile } from 'node:child_process'
import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomUUID, sign } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Login } from './docker-registry.ts'
import { type Certificate, makeCa, makeServerCertificate } from './tls.ts'
import { startTokenServer, type TokenRequest } from './token-server.ts'
import { needTool } from './tools.ts'

export type Algorithm = 'RS256' | 'ES256'

/** A token server as distribution's specification has it (§ Token Authentication), on an origin and with an authority of its own. */
export type JwtServer = {
  realm: string
  origin: URL
  service: string
  issuer: string
  /** What its TLS certificate is signed by. */
  ca: Certificate
  /** The certificate of the key that signs tokens, for the registry's `rootcertbundle`. */
  signingCertFile: string
  requests: TokenRequest[]
  mint: (repository: string, actions: string[]) => string
  close: () => Promise<void>
}

const run = promisify(execFile)
const service = 'registry.test'
const issuer = 'token server of the tests'
const newKey = { RS256: ['rsa:2048'], ES256: ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] }

/** Gives tokens for pulling to `login`; everybody else is answered 401. */
export async function startJwtServer({ login, algorithm }: { login: Login; algorithm: Algorithm }): Promise<JwtServer> {
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-jwt-'))
  const ca = await makeCa(dir)
  const tls = await makeServerCertificate(ca, dir, ['localhost', '127.0.0.1'])
  const signingCertFile = join(dir, 'signing.pem')
  const keyFile = join(dir, 'signing.key')
  const openssl = needTool('openssl')
  const self = ['req', '-x509', '-days', '2', '-nodes', '-subj', `/CN=${issuer}`, '-out', signingCertFile]
  await run(openssl.command, [...self, '-keyout', keyFile, '-newkey', ...newKey[algorithm]], { env: openssl.env })
  const key = createPrivateKey(await readFile(keyFile))
  const server = await startTokenServer({ tls: { key: await readFile(tls.keyFile, 'utf8'), cert: tls.cert } })
  const mint = (repository: string, actions: string[]) => tokenOf(key, algorithm, repository, actions)
  const expected = `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`
  server.answer = ({ url, headers }, response) => {
    const [type, repository = ''] = (url.searchParams.get('scope') ?? '').split(':')
    if (headers.authorization !== expected) return void response.writeHead(401).end()
    const token = type === 'repository' ? mint(repository, ['pull']) : mint('', [])
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ token, expires_in: 300, issued_at: new Date().toISOString() }))
  }
  const { realm, origin, requests } = server
  const close = async () => {
    await server.close()
    await rm(dir, { recursive: true, force: true })
  }
  return { realm, origin, service, issuer, ca, signingCertFile, requests, mint, close }
}

function tokenOf(key: KeyObject, algorithm: Algorithm, repository: string, actions: string[]): string {
  const nowS = Math.floor(Date.now() / 1000)
  const access = repository === '' ? [] : [{ type: 'repository', name: repository, actions }]
  const claims = { iss: issuer, sub: 'ci', aud: service, exp: nowS + 300, nbf: nowS - 10, iat: nowS, jti: randomUUID() }
  const parts = [
    { typ: 'JWT', alg: algorithm, kid: libtrustId(key) },
    { ...claims, access },
  ]
  const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

/** By this name docker-registry knows the keys of its bundle: base32 of the first 240 bits of the key's SHA-256, in groups of four. */
function libtrustId(key: KeyObject): string {
  const hash = createHash('sha256')
    .update(createPublicKey(key).export({ type: 'spki', format: 'der' }))
    .digest()
  const bits = [...hash.subarray(0, 30)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const letters = (bits.match(/.{5}/g) ?? []).map(
    (five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(five, 2)],
  )
  return (letters.join('').match(/.{4}/g) ?? []).join(':')
}
