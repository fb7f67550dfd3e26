import { readFile } from 'node:fs/promises'
import { Argument, type Command } from 'commander'
import type { Config } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import { CALLER_TOKEN, CALLER_TOKEN_BASIC, withCallerToken } from '../install/caller-token.ts'
import { type Client, type ClientFile, type ClientPlan, clients } from '../install/client-plan.ts'
import { planClient } from '../install/plan-client.ts'
import { Secret } from '../secret.ts'
import { contextOf, registryName } from './context.ts'
import { table } from './table.ts'
import type { Paint } from './terminal.ts'

type Options = { registry?: string; showToken?: true }

export function addClients(program: Command): void {
  const command = program.command('clients').description('how pulls of this node come to the daemon')
  command
    .command('show')
    .addArgument(new Argument('<client>', 'whose files').choices(clients))
    .option('--registry <host>', 'only for this registry')
    .option('--show-token', 'print the caller token in its place, not a placeholder')
    .description('print the files that send the pulls of a client to the daemon; needs no daemon, and writes nothing')
    .action(async (client: Client, options: Options, command: Command) => {
      const { configPath, show } = contextOf(command)
      const { loadConfig } = await import('../config/load.ts')
      const { registries, proxy } = await loadConfig(configPath)
      if (proxy.listen.port === 0)
        throw new RegcreddError('USAGE', 'proxy.listen has port 0: clients need one that stays the same')
      const plan = planClient(client, { registries: chosen(registries, options.registry), proxy })
      const files = options.showToken ? await withTokens(plan.files, proxy.callerTokenFile) : plan.files
      const failOver = plan.failOver.map(({ next = null, ...rest }) => ({ ...rest, next }))
      show({ ...plan, files, failOver, callerTokenFile: proxy.callerTokenFile }, (paint) =>
        describe({ ...plan, files }, proxy.callerTokenFile, paint),
      )
    })
}

function chosen(registries: Config['registries'], host: string | undefined): Config['registries'] {
  if (host === undefined) return registries
  const name = registryName(host)
  const found = registries.filter((registry) => registry.name === name || registry.host === name)
  if (found.length === 0) throw new RegcreddError('REGISTRY_UNLISTED')
  return found
}

async function withTokens(files: ClientFile[], tokenFile: string): Promise<ClientFile[]> {
  const text = await readFile(tokenFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const why =
      cause.code === 'ENOENT'
        ? 'is not there yet; the first start of the daemon makes it'
        : `cannot be read (${cause.code})`
    throw new RegcreddError('CONFIG_INVALID', `proxy.callerTokenFile ${tokenFile} ${why}`, { cause })
  })
  const token = new Secret(text.split('\n')[0] ?? '')
  return files.map((file) => ({ ...file, text: withCallerToken(file.text, token) }))
}

function describe({ files, ownFiles, failOver, notes }: ClientPlan, tokenFile: string, paint: Paint): string {
  const shown = files.map(({ path, mode, text }) => `${paint('bold', `${path}  (mode ${mode})`)}\n\n${text}`)
  const rows = failOver.map(({ registry, says }) => [registry, says])
  const all = files.map(({ text }) => text).join('')
  const placeholders = [
    ...(all.includes(`"${CALLER_TOKEN}"`) ? [`${CALLER_TOKEN} stands for the content of ${tokenFile}.`] : []),
    ...(all.includes(CALLER_TOKEN_BASIC)
      ? [`${CALLER_TOKEN_BASIC} stands for "node:" and the content of ${tokenFile}, in base64.`]
      : []),
  ]
  const own = ownFiles.map(({ path, mode, holds }) => [path, mode, holds])
  const ownTable = own.length === 0 ? [] : [`${table(['YOURS TO PUT THERE', 'MODE', 'HOLDS'], own, paint)}\n`]
  const failOverTable = `${table(['REGISTRY', 'FAIL-OVER'], rows, paint)}\n`
  return [...shown, ...ownTable, failOverTable, ...placeholders, ...notes].join('\n')
}
