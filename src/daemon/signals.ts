/** Calls `act` at every such signal, until it is disposed of. */
export function onSignal(name: NodeJS.Signals, act: () => void): Disposable {
  process.on(name, act)
  return { [Symbol.dispose]: () => void process.off(name, act) }
}
