import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Certificate, makeCa } from './tls.ts'
import { needTool } from './tools.ts'

const run = promisify(execFile)

/** An authority for client certificates, which keeps a book of what it has signed. */
export type ClientCa = Certificate & {
  issue(name: string, options?: IssueOptions): Promise<Certificate>
  revoke(certificate: Certificate): Promise<void>
  /** Writes the list of what is revoked, good from `fromMs` to `toMs` relative to now. */
  writeCrl(path: string, times?: { fromMs?: number; toMs?: number }): Promise<void>
}

export type IssueOptions = {
  /** Default: clientAuth. */
  extensions?: string[]
  subject?: string
  fromMs?: number
  toMs?: number
}

const DAY_MS = 86_400_000

/** Makes one in `dir`, which it needs for itself. */
export async function makeClientCa(dir: string): Promise<ClientCa> {
  const ca = await makeCa(dir)
  const book = join(dir, 'book.cnf')
  await writeFile(join(dir, 'index.txt'), '')
  await writeFile(
    book,
    `[ca]
default_ca = book
[book]
database = ${dir}/index.txt
new_certs_dir = ${dir}
certificate = ${ca.certFile}
private_key = ${ca.keyFile}
rand_serial = yes
default_md = sha256
unique_subject = no
policy = any
[any]
commonName = optional
organizationName = optional
[req]
distinguished_name = none
[none]
`,
  )
  return {
    ...ca,
    async issue(name, { extensions, subject = `/CN=${name}`, fromMs = -60_000, toMs = DAY_MS } = {}) {
      const at = (kind: string) => join(dir, `${name}.${kind}`)
      const files = { certFile: at('cert'), keyFile: at('key') }
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', files.keyFile]
      await openssl(['req', '-new', '-config', book, '-subj', subject, ...key, '-out', at('csr')])
      const lines = extensions ?? ['extendedKeyUsage = clientAuth']
      await writeFile(at('ext'), `${['basicConstraints = critical,CA:FALSE', ...lines].join('\n')}\n`)
      await openssl([
        ...['ca', '-batch', '-notext', '-config', book, '-in', at('csr'), '-out', files.certFile],
        ...['-extfile', at('ext'), '-startdate', stamp(fromMs), '-enddate', stamp(toMs)],
      ])
      return { ...files, cert: await readFile(files.certFile, 'utf8') }
    },
    async revoke({ certFile }) {
      await openssl(['ca', '-config', book, '-revoke', certFile])
    },
    async writeCrl(path, { fromMs = -60_000, toMs = DAY_MS } = {}) {
      const times = ['-crl_lastupdate', stamp(fromMs), '-crl_nextupdate', stamp(toMs)]
      await openssl(['ca', '-config', book, '-gencrl', ...times, '-out', path])
    },
  }
}

function stamp(aheadMs: number): string {
  return new Date(Date.now() + aheadMs).toISOString().replace(/[-:T]|\.\d+/g, '')
}

async function openssl(args: string[]): Promise<void> {
  const tool = needTool('openssl')
  await run(tool.command, args, { env: tool.env })
}
