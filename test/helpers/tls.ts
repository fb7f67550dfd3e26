import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { needTool } from './tools.ts'

/** Paths of PEM files, and the certificate's text. */
export type Certificate = { certFile: string; keyFile: string; cert: string }

const run = promisify(execFile)
// A configuration of our own, since every system's openssl.cnf adds other extensions.
const config = `[req]
distinguished_name = name
prompt = no
[name]
CN = $ENV::REGCREDD_CN
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = $ENV::REGCREDD_SAN
`

/** A certificate authority made on the spot, valid for two days, in `dir`. */
export async function makeCa(dir: string): Promise<Certificate> {
  const files = await filesIn(dir, 'ca')
  await openssl('regcredd test CA', [
    ...['req', '-x509', '-extensions', 'ca', '-days', '2', '-out', files.certFile],
    ...newKey(files),
  ])
  return { ...files, cert: await readFile(files.certFile, 'utf8') }
}

/** A server's certificate for `names` (DNS names and addresses), signed by `ca`, in `dir` under the first name. */
export async function makeServerCertificate(ca: Certificate, dir: string, names: string[]): Promise<Certificate> {
  const [first = 'server'] = names
  const files = await filesIn(dir, first)
  const request = join(dir, `${first}.csr`)
  await openssl(first, ['req', '-new', '-out', request, ...newKey(files)])
  await openssl(
    first,
    [
      ...['x509', '-req', '-in', request, '-CA', ca.certFile, '-CAkey', ca.keyFile, '-CAcreateserial', '-days', '2'],
      ...['-extfile', files.configFile, '-extensions', 'server', '-out', files.certFile],
    ],
    names,
  )
  return { ...files, cert: await readFile(files.certFile, 'utf8') }
}

type Files = { certFile: string; keyFile: string; configFile: string }

async function filesIn(dir: string, name: string): Promise<Files> {
  const configFile = join(dir, 'openssl.cnf')
  await writeFile(configFile, config)
  return { certFile: join(dir, `${name}.pem`), keyFile: join(dir, `${name}.key`), configFile }
}

function newKey({ keyFile, configFile }: Files): string[] {
  return [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    keyFile,
    '-config',
    configFile,
  ]
}

async function openssl(commonName: string, args: string[], names: string[] = ['unused.invalid']): Promise<void> {
  const tool = needTool('openssl')
  const san = names.map((name) => (isIP(name) ? `IP:${name}` : `DNS:${name}`)).join(',')
  await run(tool.command, args, { env: { ...tool.env, REGCREDD_CN: commonName, REGCREDD_SAN: san } })
}
