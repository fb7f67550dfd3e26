import { join } from 'node:path'
import { listenForActs } from './control.ts'
import { HOST, IMAGE } from './registry.ts'
import type { Scene, Stand } from './scene.ts'
import { quote } from './workbench.ts'

export type Kept = {
  /** Resolves when somebody asks for the end. */
  asked: Promise<void>
  /** Lets whoever asked know that all is gone; resolves when he does. */
  answer(): Promise<void>
}

/** Gives a running demo its commands, and says what they are. */
export async function keepRunning({ screen, workbench }: Scene, stand: Stand): Promise<Kept> {
  const { registry, puller } = stand
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
  const { promise: gone, resolve: tell } = Promise.withResolvers<void>()
  const socketPath = join(workbench.folder, 'demo.sock')
  const control = await listenForActs(socketPath, {
    'pull-image': async () => {
      const startedMs = performance.now()
      return `${IMAGE} ${await puller.pull()} in ${Math.round(performance.now() - startedMs)} ms`
    },
    'set-registry-password': async (password) => {
      if (password === '') throw new Error('no password on standard input')
      await registry.setPassword(password)
      return 'the registry takes this password now, and no other'
    },
    stop: async () => {
      ask()
      await gone
      return 'stopped and removed'
    },
  })
  const script = quote(join(import.meta.dirname, 'ask.ts'))
  for (const name of ['pull-image', 'set-registry-password', 'stop']) {
    await workbench.addCommand(name, [`exec ${quote(process.execPath)} ${script} ${quote(socketPath)} ${name}`])
  }
  explain(screen, workbench.folder, puller.title)
  return {
    asked,
    async answer() {
      tell()
      await control.close()
    },
  }
}

function explain({ heading, text, paint }: Scene['screen'], folder: string, puller: string): void {
  const line = (command: string, meaning: string) => text(`    ${paint('bold', command.padEnd(72))}${meaning}`)
  heading('It goes on running (--keep). Play with it')
  text(`    cd ${folder} && PATH=$PWD/bin:$PATH\n`)
  line('pull-image', `${puller} pulls every byte anew`)
  line('regcredd status', 'how the daemon is')
  line('regcredd audit tail -n 5', 'the last records')
  line('printf autumn-2f9c > autumn.txt', 'a new password …')
  line(`regcredd rotate ${HOST} --password-stdin < autumn.txt &`, '… is staged,')
  line('set-registry-password < autumn.txt', '… and in force as soon as the registry takes it')
  heading('Stop it, and remove all of it')
  text(`    ${folder}/bin/stop`)
}
