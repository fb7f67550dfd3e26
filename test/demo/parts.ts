import { skipWithoutKeyring } from '../helpers/keyring.ts'
import { findTool, skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'

/** A reason why a real part cannot be had, or false. */
type Lack = false | string

export type Parts = {
  registry: Lack
  containerd: Lack
  keyring: Lack
  skopeo: Lack
  curl: Lack
  kubernetes: Lack
}

/** Which real parts this machine has. With CI=true a lack throws: there nothing stands in. */
export function findParts(): Parts {
  return {
    registry: skipWithout('docker-registry', 'htpasswd', 'openssl', 'skopeo', 'umoci'),
    containerd: skipWithoutRootAnd('containerd', 'runc'),
    keyring: skipWithoutKeyring(),
    skopeo: skipWithout('skopeo'),
    curl: skipWithout('curl'),
    kubernetes: 'missing' in findTool('kube-apiserver') ? 'not built' : skipWithout('etcd', 'kubectl'),
  }
}

/** `name version`, for the list of what is real. */
export function titleOf(name: string): string {
  const tool = findTool(name)
  return 'missing' in tool ? name : `${name.replace('-daemon', '')} ${tool.version.replace(/[+~].*/, '')}`
}
