/** The properties of `from` whose names are in `keys`; a property that `from` lacks stays absent. */
export function pick<T extends object>(from: T, keys: object): Partial<T> {
  return Object.fromEntries(Object.entries(from).filter(([key]) => key in keys)) as Partial<T>
}
