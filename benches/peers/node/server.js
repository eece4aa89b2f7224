// A peer for the fan-out benchmark: POST /api/alerts/patient tells the room of the patient. It stores nothing and asks nobody who they are.
const http = require('node:http');
const { Server } = require('socket.io');

const PATH = '/api/alerts/patient';

const answer = (response, status, body) => {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
};

const http_server = http.createServer((request, response) => {
  if (request.method !== 'POST' || request.url !== PATH) {
    answer(response, 404, '{"error":"not found"}');
    return;
  }
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    let alert;
    try {
      alert = JSON.parse(Buffer.concat(parts));
    } catch {
      answer(response, 400, '{"error":"not JSON"}');
      return;
    }
    const { alert_type, patient_id, alert_data } = alert;
    const timestamp = new Date().toISOString();
    io.to(`patient_${patient_id}`).emit('patient_alert', { alert_type, patient_id, timestamp, ...alert_data });
    answer(response, 201, '{"success":true}');
  });
});

const io = new Server(http_server);
io.on('connection', (socket) => {
  socket.on('join_room', ({ room }) => {
    socket.join(room);
    socket.emit('room_joined', { room, status: 'joined' });
  });
});

// Thousands of clients connect at once: as long a queue as the system gives.
http_server.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });
