// A test file that shares its process with files before it loads the modules of the project anew: none sees variables that another
// one has left in them. Packages stay loaded, which is most of what a new process costs.
import { vi } from 'vitest'

vi.resetModules()
