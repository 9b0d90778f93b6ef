/** Engines for the run. (Given by the environment for now.) */
export default async function setup(): Promise<void> {}
