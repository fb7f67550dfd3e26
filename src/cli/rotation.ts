import type { Command } from 'commander'
import { type Context, contextOf } from './context.ts'
import { describeRotation, getRotation, type RotationAnswer } from './rotation-progress.ts'

export function addRotation(program: Command): void {
  const rotation = program.command('rotation').description('look at a rotation, or stop it')
  rotation
    .command('get')
    .argument('<id>')
    .description('show the state of a rotation')
    .action(async (id: string, _options, command: Command) => {
      const context = contextOf(command)
      showRotation(context, await getRotation(context.ask, id))
    })
  rotation
    .command('abort')
    .argument('<id>')
    .description('drop the staged password; the one in force stays')
    .action(async (id: string, _options, command: Command) => {
      const context = contextOf(command)
      const path = `/v1/rotations/${encodeURIComponent(id)}/abort`
      showRotation(context, (await context.ask({ method: 'POST', path })) as RotationAnswer)
    })
}

function showRotation({ show }: Context, rotation: RotationAnswer): void {
  show(rotation, (paint) => describeRotation(rotation, paint))
}
