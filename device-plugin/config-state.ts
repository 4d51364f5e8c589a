/** The config in use, and the last try to read another one. A config with a mistake is never taken into use. */
import { ConfigError } from './config/config-error.ts'
import type { FileRead } from './config/config-file.ts'
import type { PluginConfig } from './config/plugin-config.ts'
import { readPluginConfig } from './config/read-config.ts'
import type { ConfigState } from './observe/view.ts'

/** Holds the config. */
export class ConfigKeeper {
  readonly #prefix: string
  #config: PluginConfig = { pools: [], warnings: [] }
  #state: ConfigState = { generation: 0, readAt: undefined, problems: [], warnings: 0 }

  constructor(resourcePrefix: string) {
    this.#prefix = resourcePrefix
  }

  /** The config in use: without pools until a file was read. */
  get config(): PluginConfig {
    return this.#config
  }

  get state(): ConfigState {
    return this.#state
  }

  /**
   * Takes a content of the file. With a mistake in the content, or without a file, the former config stays.
   * @returns true when another config is in use now
   */
  take(read: FileRead): boolean {
    const readAt = Date.now()
    const problems = 'problem' in read ? [read.problem] : this.#parse(read.text)
    if (problems.length > 0) {
      this.#state = { ...this.#state, readAt, problems }
      return false
    }
    const generation = this.#state.generation + 1
    this.#state = { generation, readAt, problems, warnings: this.#config.warnings.length }
    return true
  }

  #parse(text: string): readonly string[] {
    try {
      this.#config = readPluginConfig(text, { resourcePrefix: this.#prefix })
      return []
    } catch (error) {
      if (error instanceof ConfigError) return error.mistakes
      throw error
    }
  }
}
