import {
  ApiException,
  AuthenticationV1Api,
  AuthorizationV1Api,
  CoordinationV1Api,
  CoreV1Api,
  createConfiguration,
  HttpMethod,
  KubeConfig,
  loadYaml,
  Observable,
  PatchStrategy,
  RequestContext,
  setHeaderOptions,
  V1MicroTime,
} from '@kubernetes/client-node'

/**
 * What the mirror and the fleet use of the library. It exports 73 APIs, most of its six megabytes of program text, and holds all of them in memory
 * once it is loaded; the bundle leaves out what is not named here.
 */
export const client = {
  ApiException,
  AuthenticationV1Api,
  AuthorizationV1Api,
  CoordinationV1Api,
  CoreV1Api,
  createConfiguration,
  HttpMethod,
  KubeConfig,
  loadYaml,
  Observable,
  PatchStrategy,
  RequestContext,
  setHeaderOptions,
  V1MicroTime,
}
