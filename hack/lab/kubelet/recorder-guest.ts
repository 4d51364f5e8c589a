// The plugin that takes notes as a program: `driver recorder`. Calls of the interface Recorder come as lines (lines.ts). Ends with the end
// of its input.
import { answerLines } from './lines.ts'
import { RecordingPlugin } from './recorder.ts'

const plugin = new RecordingPlugin()
answerLines(plugin, () => plugin.close())
