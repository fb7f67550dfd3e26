import { RegcreddError } from '../errors.ts'
import type { endpoints } from './endpoints.ts'
import type { Access, KubernetesCallers, KubernetesUser } from './kubernetes-callers.ts'

type Name = (typeof endpoints)[keyof typeof endpoints]['name']

/** What a caller by a Kubernetes token needs; `any`: to be known to the cluster; `socket`: no right of the cluster opens it. */
export type EndpointRight = Omit<Access, 'name'> | 'any' | 'socket'

const right = (verb: Access['verb'], resource: Access['resource']): EndpointRight => ({ verb, resource })

/** One for each endpoint, or it does not compile. The name of the registry is asked for with it wherever the path leads to one. */
export const kubernetesRights: Record<Name, EndpointRight> = {
  getOpenApi: 'any',
  listRegistries: right('list', 'registries'),
  getRegistry: right('get', 'registries'),
  putCredential: 'socket',
  deleteCredential: 'socket',
  startRotation: right('create', 'rotations'),
  listRotations: right('list', 'rotations'),
  getRotation: right('get', 'rotations'),
  abortRotation: right('update', 'rotations'),
  rollBackRotation: right('create', 'rotations'),
  resolveRotation: right('update', 'rotations'),
  getStatus: right('get', 'status'),
  getMirror: right('get', 'status'),
  listNodes: right('get', 'status'),
  checkKubernetes: right('get', 'status'),
  listAudit: right('list', 'audit'),
  listTokens: 'socket',
  createToken: 'socket',
  revokeToken: 'socket',
}

/**
 * Lets a user of the cluster through whom it gives the right for an endpoint; `registry` is the one that the request is about.
 * Throws KUBERNETES_ACCESS_DENIED, KUBERNETES_AUTH_UNAVAILABLE.
 */
export async function demandRight(
  callers: KubernetesCallers | undefined,
  user: KubernetesUser,
  endpoint: string,
  registry: string | undefined,
): Promise<void> {
  const needed = kubernetesRights[endpoint as Name] as EndpointRight | undefined
  if (needed === 'any') return
  if (callers === undefined || needed === undefined || needed === 'socket') {
    throw new RegcreddError('KUBERNETES_ACCESS_DENIED', 'no right does: it is for the admin socket alone')
  }
  await callers.demand(user, { ...needed, name: registry })
}
