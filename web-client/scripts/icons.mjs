// The icons the screens use: [name in @phosphor-icons/core, weight]. Fill = active or on, bold = off or neutral.
export const ICONS = [
  ['circle', 'fill'], ['circle-dashed', 'bold'], ['radioactive', 'bold'], ['radioactive', 'fill'], ['hourglass-medium', 'bold'], ['not-equals', 'bold'], ['plugs', 'bold'],
  ['wifi-slash', 'bold'], ['pause', 'bold'], ['prohibit', 'bold'], ['record', 'fill'], ['ear', 'fill'], ['test-tube', 'bold'],
  ['microphone', 'bold'], ['microphone', 'fill'], ['microphone-slash', 'bold'], ['speaker-high', 'fill'], ['speaker-high', 'bold'], ['speaker-slash', 'bold'], ['speaker-slash', 'fill'],
  ['eraser', 'fill'], ['footprints', 'bold'], ['footprints', 'fill'], ['eraser', 'bold'], ['phone', 'fill'], ['stop-circle', 'bold'], ['pencil-simple', 'bold'], ['pencil-simple', 'fill'], ['pencil-simple-slash', 'bold'], ['arrow-u-up-left', 'bold'],
  ['arrow-up-right', 'bold'], ['circle', 'bold'], ['line-segment', 'bold'], ['text-t', 'bold'], ['map-pin', 'bold'], ['cursor', 'bold'], ['push-pin', 'bold'], ['push-pin', 'fill'], ['timer', 'bold'], ['ruler', 'bold'], ['snowflake', 'bold'], ['image', 'bold'], ['image-broken', 'bold'], ['crosshair', 'bold'], ['hand-palm', 'bold'],
  ['translate', 'bold'], ['chats-circle', 'bold'], ['chats-circle', 'fill'], ['warning', 'bold'], ['user', 'bold'], ['arrows-clockwise', 'bold'], ['info', 'bold'], ['path', 'bold'], ['eye-slash', 'bold'], ['check-circle', 'bold'],
  ['caret-up', 'bold'], ['caret-down', 'bold'], ['caret-left', 'bold'], ['caret-right', 'bold'], ['magnifying-glass-plus', 'bold'], ['magnifying-glass-minus', 'bold'], ['video-camera', 'fill'], ['video-camera-slash', 'bold'], ['x', 'bold'],
];
