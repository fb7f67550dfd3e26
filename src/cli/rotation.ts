import type { Command } from 'commander'
import { type Context, contextOf, registryName } from './context.ts'
import { deadlineOption, followToEnd, seeThrough } from './rotate.ts'
import { describeRotation, getRotation, listRotations, type RotationAnswer, rotationPath } from './rotation-progress.ts'

export function addRotation(program: Command): void {
  const rotation = program.command('rotation').description('look at rotations, stop one, take one back, resolve one')
  addList(rotation)
  addShow(rotation)
  rotation
    .command('abort')
    .argument('<id>')
    .description('drop the staged password; the one in force stays')
    .action(async (id: string, _options, command: Command) => {
      const context = contextOf(command)
      show(context, (await context.ask({ method: 'POST', path: rotationPath(id, '/abort') })) as RotationAnswer)
    })
  rotation
    .command('rollback')
    .argument('<id>')
    .description('take a rotation back: a new one, to the password before it')
    .addOption(deadlineOption())
    .option('--no-wait', 'return as soon as it is staged')
    .action(async (id: string, options: { deadline?: number; wait: boolean }, command: Command) => {
      const context = contextOf(command)
      const body = JSON.stringify({ deadlineSeconds: options.deadline })
      const started = (await context.ask({
        method: 'POST',
        path: rotationPath(id, '/rollback'),
        body,
      })) as RotationAnswer
      await seeThrough(context, started, options.wait)
    })
  rotation
    .command('resolve')
    .argument('<id>')
    .argument('<version>', 'the one that is right, such as v3')
    .description('end a rotation that is stuck; all versions are tried, and this one must be accepted')
    .action(async (id: string, version: string, _options, command: Command) => {
      const context = contextOf(command)
      const body = JSON.stringify({ version })
      show(context, (await context.ask({ method: 'POST', path: rotationPath(id, '/resolve'), body })) as RotationAnswer)
    })
}

function addList(rotation: Command): void {
  rotation
    .command('list')
    .argument('[host]', 'of one registry only')
    .description('the last ten of each credential, newest first')
    .action(async (host: string | undefined, _options, command: Command) => {
      const context = contextOf(command)
      const query = host === undefined ? '' : `?host=${encodeURIComponent(registryName(host))}`
      const answer = await context.ask({ method: 'GET', path: `/v1/rotations${query}` })
      const { rotations } = answer as { rotations: RotationAnswer[] }
      context.show(answer, (paint) => listRotations(rotations, paint))
    })
}

function addShow(rotation: Command): void {
  rotation
    .command('show')
    .alias('get')
    .argument('<id>')
    .option('--follow', 'wait for its end, as rotate does')
    .description('show a rotation with its steps')
    .action(async (id: string, { follow }: { follow?: true }, command: Command) => {
      const context = contextOf(command)
      const found = await getRotation(context.ask, id)
      if (follow !== true) return show(context, found)
      await followToEnd(context, found)
    })
}

function show(context: Context, rotation: RotationAnswer): void {
  context.show(rotation, (paint) => describeRotation(rotation, paint))
}
