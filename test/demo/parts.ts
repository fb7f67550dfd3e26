import { skipWithoutKeyring } from '../helpers/keyring.ts'
import { findTool, skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'

/** A reason why a real part cannot be had, or false. */
type Lack = false | string

export type Parts = {
  'docker-registry': Lack
  containerd: Lack
  'gnome-keyring': Lack
  skopeo: Lack
  curl: Lack
  'kube-apiserver': Lack
}

/** Which real parts this machine has. With CI=true a lack throws: there nothing stands in. */
export function findParts(): Parts {
  return {
    'docker-registry': shortly(skipWithout('docker-registry', 'htpasswd', 'openssl', 'skopeo', 'umoci')),
    containerd: shortly(skipWithoutRootAnd('containerd', 'runc')),
    'gnome-keyring': shortly(skipWithoutKeyring()),
    skopeo: shortly(skipWithout('skopeo')),
    curl: shortly(skipWithout('curl')),
    // Never demanded: the demo builds none unasked.
    'kube-apiserver': 'missing' in findTool('kube-apiserver') ? 'not built' : shortly(skipWithout('etcd', 'kubectl')),
  }
}

/** Names and versions of all that is real here. */
export function realParts(parts: Parts): string[] {
  const names = Object.keys(parts) as (keyof Parts)[]
  return names.filter((name) => !parts[name]).map((name) => titleOf(name === 'gnome-keyring' ? `${name}-daemon` : name))
}

/** Names of what something else stands in for. */
export function standIns({ 'kube-apiserver': _optional, ...parts }: Parts): string[] {
  return Object.entries(parts).flatMap(([name, lack]) => (lack ? [name] : []))
}

/** `name version`. */
export function titleOf(name: string): string {
  const tool = findTool(name)
  return 'missing' in tool ? name : `${name.replace('-daemon', '')} ${tool.version.replace(/[+~].*/, '')}`
}

/** Tools that are missing for the same reason share it: `a: why; b: why` becomes `a, b: why`. */
function shortly(lack: Lack): Lack {
  if (!lack) return false
  const names = new Map<string, string[]>()
  for (const one of lack.split(/; (?=[\w-]+: )/)) {
    const [name = '', ...why] = one.split(': ')
    const reason = why.join(': ')
    names.set(reason, [...(names.get(reason) ?? []), name])
  }
  return [...names].map(([reason, missing]) => `${missing.join(', ')}: ${reason}`).join('; ')
}
