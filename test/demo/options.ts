import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

export type DemoOptions = {
  keep: boolean
  /** Builds a Kubernetes API first, where none is at hand. */
  kubernetes: boolean
  /** Absolute path of the kubeconfig of somebody's own cluster. */
  kubeconfig: string | undefined
}

/** What the child needs to know beside the options, since it writes to no terminal itself. */
export type StageOptions = DemoOptions & { colourful: boolean; live: boolean; columns: number }

/** From the stage to whoever watches it. */
export type Message = { text: string } | { kept: true }

export const usage = `npm run demo [-- OPTIONS]

Shows regcredd at work on real parts; all of it runs on this machine, in one temp folder, and is gone at the end.

  --keep             leave it running, and say how to play with it and how to stop it
  --kubernetes       build a Kubernetes API first, once (needs 6 minutes and 8 GiB of disk), to show the mirror
  --kubeconfig PATH  show the mirror in a cluster of yours: in a namespace that is made for it and deleted again
  --help             this text
`

/** Throws an Error with a sentence for the user. */
export function readOptions(args: string[]): DemoOptions | 'help' {
  const { values } = parseArgs({
    args,
    options: {
      keep: { type: 'boolean', default: false },
      kubernetes: { type: 'boolean', default: false },
      kubeconfig: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const kubeconfig = values.kubeconfig === undefined ? undefined : resolve(values.kubeconfig)
  return { keep: values.keep, kubernetes: values.kubernetes, kubeconfig }
}
