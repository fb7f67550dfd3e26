import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { dirname, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { errnoOf, RegcreddError } from '../errors.ts'
import { replaceFile } from '../replace-file.ts'
import { Secret } from '../secret.ts'
import { keepToken, readClaims } from '../service-account-token.ts'
import { contextOf } from './context.ts'

type JoinOptions = { server: string; caFile: string; bootstrapTokenFile?: string; kubeconfig: string }

const LIFETIME_SECONDS = 7 * 86_400
const TIMEOUT_MS = 20_000
const MAX_BYTES = 64 * 1024

/** Makes the daemon known in a cluster that it does not run in: trades a token for one of its own, which it renews itself from then on. */
export function addKubernetesJoin(group: Command): void {
  group
    .command('join')
    .description('trade a bootstrap token of a ServiceAccount for a token of its own, and write a kubeconfig with it')
    .requiredOption('--server <url>', 'the API server, https://HOST:PORT')
    .requiredOption('--ca-file <file>', 'PEM file of its authority; read again whenever it changes')
    .option('--bootstrap-token-file <file>', 'the token (kubectl create token); absent: on stdin')
    .option('--kubeconfig <file>', 'where to write', '/var/lib/regcredd/kubeconfig')
    .action(async (options: JoinOptions, command: Command) => {
      const { show, note } = contextOf(command)
      const server = serverOf(options.server)
      const caFile = resolve(options.caFile)
      const kubeconfig = resolve(options.kubeconfig)
      const bootstrap = await readBootstrap(options.bootstrapTokenFile)
      const { namespace, account } = readClaims(bootstrap)
      const ca = await readText(caFile, '--ca-file')
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
      const token = await askForToken(new URL(path, server), ca, bootstrap, account)
      const { expiresAtMs } = readClaims(token)
      const tokenFile = join(dirname(kubeconfig), 'kubernetes-token')
      await write(tokenFile, () => keepToken(tokenFile, token))
      await write(kubeconfig, () => replaceFile(kubeconfig, kubeconfigText(server, caFile, tokenFile)))
      const expiresAt = new Date(expiresAtMs).toISOString()
      const serviceAccount = `${namespace}/${account}`
      show(
        { kubeconfig, tokenFile, serviceAccount, expiresAt },
        () => `${kubeconfig} makes this node ${serviceAccount}; its token is good until ${expiresAt}`,
      )
      note(
        `"kubernetes": {"kubeconfig": "${kubeconfig}", "renewToken": true, …} in the configuration has the daemon renew it`,
      )
    })
}

function serverOf(given: string): URL {
  const url = URL.parse(given)
  const isBare = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (url?.protocol !== 'https:' || !isBare) throw new RegcreddError('USAGE', '--server must be https://HOST:PORT')
  return url
}

async function readBootstrap(file: string | undefined): Promise<Secret> {
  if (file === undefined && process.stdin.isTTY) {
    throw new RegcreddError('USAGE', 'give the token on stdin or with --bootstrap-token-file')
  }
  const given = file === undefined ? await text(process.stdin) : await readText(file, '--bootstrap-token-file')
  return new Secret(given.trim())
}

async function readText(file: string, option: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new RegcreddError('USAGE', `the file of ${option} cannot be read (${errnoOf(cause)})`, { cause })
  }
}

/** By a plain request: the client library would take longer to load than all the rest. Nothing of an answer but its status is shown. */
async function askForToken(url: URL, ca: string, bootstrap: Secret, account: string): Promise<Secret> {
  const spec = { audiences: [], expirationSeconds: LIFETIME_SECONDS }
  const body = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec })
  const { status, answer } = await post(url, ca, bootstrap, body)
  if (status === 401) throw failed('the API server does not accept the bootstrap token; it may have run out')
  if (status === 403)
    throw failed(`the bootstrap token may not make a token of ${account} (create serviceaccounts/token)`)
  if (status !== 201) throw failed(`the API server refused (HTTP ${status})`)
  try {
    const made: unknown = JSON.parse(answer).status.token
    return new Secret(String(made))
  } catch {
    throw failed('what answers in place of the Kubernetes API is something else')
  }
}

function post(url: URL, ca: string, bootstrap: Secret, body: string): Promise<{ status: number; answer: string }> {
  const headers = {
    authorization: `Bearer ${bootstrap.reveal()}`,
    'content-type': 'application/json',
    accept: 'application/json',
  }
  const agent = new Agent({ ca, keepAlive: false })
  return new Promise((resolve, reject) => {
    const refuse = (thrown: unknown) =>
      reject(failed(`the API server cannot be reached (${errnoOf(thrown) ?? 'no answer'})`))
    const outgoing = request(
      url,
      { method: 'POST', headers, agent, signal: AbortSignal.timeout(TIMEOUT_MS) },
      (answer) => {
        let sizeBytes = 0
        answer.on('data', (chunk: Buffer) => {
          sizeBytes += chunk.length
          if (sizeBytes > MAX_BYTES) answer.destroy(new Error('too much'))
        })
        text(answer).then((read) => resolve({ status: answer.statusCode ?? 0, answer: read }), refuse)
      },
    )
    outgoing.on('error', refuse)
    outgoing.end(body)
  })
}

async function write(path: string, act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (cause) {
    throw new RegcreddError('USAGE', `${path} cannot be written (${errnoOf(cause)})`, { cause })
  }
}

/** JSON is YAML. The authority is named, not copied, so that a new one counts as soon as its file has it. */
function kubeconfigText(server: URL, caFile: string, tokenFile: string): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'cluster', cluster: { server: server.href.replace(/\/$/, ''), 'certificate-authority': caFile } },
    ],
    users: [{ name: 'regcredd', user: { tokenFile } }],
    contexts: [{ name: 'regcredd', context: { cluster: 'cluster', user: 'regcredd' } }],
    'current-context': 'regcredd',
  }
  return `${JSON.stringify(config, undefined, 2)}\n`
}

function failed(detail: string): RegcreddError {
  return new RegcreddError('KUBERNETES_FAILED', detail)
}
