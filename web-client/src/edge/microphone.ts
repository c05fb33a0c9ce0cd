// This page's microphone.
export type Asked = { readonly track: MediaStreamTrack } | { readonly refused: 'refused' | 'none' };

export async function askMicrophone(): Promise<Asked> {
  if (!navigator.mediaDevices?.getUserMedia) return { refused: 'none' };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
    const track = stream.getAudioTracks()[0];
    return track ? { track } : { refused: 'none' };
  } catch (e) {
    return { refused: e instanceof DOMException && (e.name === 'NotFoundError' || e.name === 'DevicesNotFoundError') ? 'none' : 'refused' };
  }
}
